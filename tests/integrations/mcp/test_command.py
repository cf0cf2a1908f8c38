"""The command: stdout has protocol messages only, and what it refuses to start with."""

import json
import subprocess
import sys

from agora_analytics.cli import main
from agora_analytics.cli.app import EXAMPLES

SERVER = "agora_analytics.integrations.mcp"


def request(number, method, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


CLIENT = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
MESSAGES = (
    request(1, "initialize", **CLIENT),
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    request(2, "tools/call", name="list_calls", arguments={"user": "Ann", "limit": 1}),
    request(3, "tools/call", name="sql", arguments={"query": "drop table calls"}),
)


def test_example_of_the_help_speaks_the_protocol_and_ends_with_its_input(support):
    (example,) = EXAMPLES["mcp"]
    words = example.replace("calls.store", str(support.path)).split()[1:]
    process = subprocess.Popen(
        [sys.executable, "-m", "agora_analytics", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    answers = {}
    for message in MESSAGES:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        if "id" in message:
            answer = json.loads(process.stdout.readline())
            answers[answer["id"]] = answer["result"]
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
    assert answers[1]["serverInfo"]["name"] == "agora-analytics"
    assert "coverage first" in answers[1]["instructions"]
    assert answers[2]["structuredContent"]["calls"][0]["call_id"] == "sup-8"
    assert answers[3]["isError"] is True


def test_store_that_does_not_exist_is_refused(tmp_path, capsys):
    assert main(["mcp", "--store", str(tmp_path / "nowhere")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "does not exist" in err


def test_missing_extra_is_named(support, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(f"{SERVER}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    assert main(["mcp", "--store", str(support.path)]) == 78
    assert "pip install 'agora-analytics[mcp]'" in capsys.readouterr().err
