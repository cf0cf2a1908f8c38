"""`agora-analytics why` over a store and over the API of a simulator."""

import json
import shlex
import time

import pytest

from agora_analytics.cli import main
from agora_analytics.cli.app import EXAMPLES
from agora_analytics.simulator import planted_call, planted_world
from tests.insight.diagnosis.conftest import SEEDS, planted, store  # noqa: F401 - fixtures


@pytest.fixture
def why(capsys, store, planted):  # noqa: F811 - the fixtures
    """Run the command on a planted call; return its output."""

    def run(name, *words, code=0):
        call = planted[name]
        line = ["why", "--call", call.call.call_id, "--uid", call.uid, "--store", str(store.path), *words]
        assert main(line) == code
        written = capsys.readouterr()
        return written.out if code == 0 else written.err

    return run


def test_the_text_begins_with_the_verdict_and_has_charts(why, planted):  # noqa: F811
    uid = planted["cpu"].uid
    lines = why("cpu").splitlines()
    assert lines[0] == f"{uid}'s own side: the processor of {uid} was too busy."
    assert "confidence" in lines[1]
    assert "What speaks for it" in lines
    assert any(line.startswith("- System CPU usage") and "limit 88 %" in line for line in lines)
    assert any("▇" in line or "#" in line for line in lines)
    assert lines[-1] == "No request: read from the store."


def test_json_has_the_documented_keys_and_nothing_else(why, planted):  # noqa: F811
    answer = json.loads(why("server_loss", "--format", "json"))
    assert list(answer) == ["side", "cause", "party", "confidence", "from", "to", "evidence", "requests"]
    assert (answer["side"], answer["cause"], answer["party"]) == planted["server_loss"].answer
    assert answer["from"].endswith("Z")
    assert answer["from"] < answer["to"]
    assert {each["speaks"] for each in answer["evidence"]} <= {"for", "against"}


@pytest.mark.parametrize(
    ("name", "words"), [("none", "Nothing was wrong"), ("unknown", "There is not enough data")]
)
def test_nothing_and_not_enough_data_are_answers(why, name, words):
    assert why(name).startswith(words)


def test_wrong_input_is_refused(why):
    assert "not within the call" in why("cpu", "--at", "2020-01-01", code=2)
    assert "no threshold profile" in why("cpu", "--profile", "nope", code=2)


def test_without_a_store_the_api_is_asked(command, serving, environment):
    call = planted_call(77, begin=int(time.time()) - 7200)
    world = planted_world([call])
    with serving(world) as url:
        environment |= {"AGORA_BASE_URL": url, "AGORA_APP_ID": world.app_id}
        (cause,) = call.causes
        at = str(int(cause.since + cause.until) // 2)
        other = command("why", "--call", call.call.call_id, "--uid", call.uid, "--at", at, "--since", "3h")
        done = command(
            "why",
            "--call",
            call.call.call_id,
            "--uid",
            call.uid,
            "--around",
            str(call.call.created_ts),
            "-f",
            "json",
        )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["side"], answer["cause"], answer["party"]) == call.answer
    assert 3 <= answer["requests"] <= 6
    assert (other.returncode, other.stderr) == (0, ""), "--at does not replace the range of the search"


def test_the_examples_of_the_help_succeed(command, serving, environment, store):  # noqa: F811 - the fixture
    call = planted_call(77, begin=int(time.time()) - 7200)
    world = planted_world([call])
    of_store = planted_call(SEEDS["cpu"])
    with serving(world) as url:
        environment |= {"AGORA_BASE_URL": url, "AGORA_APP_ID": world.app_id}
        for example in EXAMPLES["why"]:
            asked = of_store if "--store" in example else call
            line = example.replace("CALL_ID", asked.call.call_id).replace("UID", asked.uid)
            done = command(*shlex.split(line.replace("calls.store", str(store.path)))[1:])
            assert done.returncode == 0, done.stderr
            assert "cpu" in done.stdout or "too busy" in done.stdout
