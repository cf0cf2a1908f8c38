"""The programs in `examples/` are those of the tutorials, and survive what happens in production."""

import ast
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from agora_analytics.simulator import Simulator, World, serve_in_thread
from agora_analytics.store import open_store
from tests.documents.blocks import PAGES, blocks_of
from tests.documents.conftest import HOUR, free_ports, reader
from tests.documents.copy_examples import EXAMPLES, NOTEBOOK, NOTEBOOK_PAGE, example_of, notebook_of
from tests.documents.page_runner import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

FILES = {
    path
    for path in EXAMPLES.rglob("*")
    if path.is_file() and path.suffix not in {".ipynb", ".md", ".pyc"} and path.parent.name != "grafana"
}
"""The files that a page shows. No page shows the dashboards for Grafana."""


def test_tutorials_show_the_text_of_the_examples():
    """`python -m tests.documents.copy_examples` makes them the same."""
    shown = {}
    for page in PAGES:
        for block in blocks_of(page):
            if example := example_of(block):
                shown[example] = block.text
    assert shown == {path: path.read_text(encoding="utf-8") for path in FILES}


def test_notebook_has_the_cells_of_its_tutorial():
    assert NOTEBOOK.read_text(encoding="utf-8") == notebook_of(NOTEBOOK_PAGE)


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.name)
def test_examples_are_python_with_a_docstring(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_shell_script_has_no_syntax_error():
    assert subprocess.run(["sh", "-n", EXAMPLES / "nightly" / "nightly.sh"]).returncode == 0


@pytest.mark.parametrize(("code", "mail"), [(0, ""), (75, ""), (69, "the end of the log\n")])
def test_cron_mails_the_end_of_the_log_after_a_failure_only(code, mail, tmp_path):
    """Cron mails what a job prints."""
    line = (EXAMPLES / "nightly" / "crontab").read_text().splitlines()[-1]
    job = re.fullmatch(r"\d+ \d+ \* \* \*  (.*)", line)[1]
    for folder in ("/etc", "/opt/agora-analytics", "/var/log"):
        assert f"{folder}/" in job
        job = job.replace(f"{folder}/", f"{tmp_path}/")
    (tmp_path / "agora-analytics.env").write_text(f"export CODE={code}\n")
    script = tmp_path / "nightly.sh"
    script.write_text("#!/bin/sh\necho the end of the log\nexit $CODE\n")
    script.chmod(0o755)
    done = subprocess.run(["sh", "-c", job], capture_output=True, text=True, timeout=60)
    assert done.stdout == mail
    assert done.stderr == ""


def test_units_and_container_run_the_script():
    nightly = EXAMPLES / "nightly"
    service = (nightly / "agora-harvest.service").read_text()
    assert "\nExecStart=/opt/agora-analytics/nightly.sh\n" in service
    assert "\nSuccessExitStatus=75\n" in service
    assert '\nCMD ["nightly.sh"]\n' in (nightly / "Dockerfile").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path):
    """The paths of the service exist only on the machine of a reader, so they are replaced."""
    for name in ("agora-harvest.service", "agora-harvest.timer"):
        text = (
            (EXAMPLES / "nightly" / name).read_text().replace("/opt/agora-analytics/nightly.sh", "/bin/true")
        )
        (tmp_path / name).write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "agora-harvest.timer")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "agora-harvest" in line]
    assert complaints == []


def serving(world, folder):
    """Serve a world on a socket; yield the environment of its reader."""
    with serve_in_thread(Simulator(world, "enterprise")) as url:
        yield reader(folder) | {
            "AGORA_BASE_URL": url,
            "AGORA_CUSTOMER_ID": "demo-customer-id",
            "AGORA_CUSTOMER_SECRET": "demo-customer-secret",
            "AGORA_APP_ID": world.app_id,
            "AGORA_PLAN": "enterprise",
        }


@pytest.fixture
def project(tmp_path):
    """A project with twelve finished calls."""
    until = time.time() - HOUR / 2
    world = World.generate(seed=7, since=until - HOUR, until=until, calls=12, simple=True)
    yield from serving(world, tmp_path)


@pytest.fixture
def busy_project(tmp_path):
    """A project in which many calls are active, now and for the next hour."""
    now = time.time()
    world = World.generate(seed=7, since=now - HOUR, until=now + HOUR, calls=200, simple=True, full_stay=True)
    yield from serving(world, tmp_path)


@pytest.fixture
def start(tmp_path):
    """Start an example in a process of its own, which is killed at the end of the test."""
    running = []

    def start(command, environment):
        running.append(Server(command, tmp_path, environment))
        return running[-1]

    yield start
    for server in running:
        server.kill()


@pytest.fixture
def webhook(start, tmp_path):
    """The receiver of the alerts, and the variable with its address."""
    port = free_ports()["9000"]
    program = (EXAMPLES / "webhook_receiver.py").read_text().replace("9000", port)
    (tmp_path / "receiver.py").write_text(program)
    receiver = start("python receiver.py", reader(tmp_path))
    receiver.wait_for(("Waiting for alerts",))
    return receiver, {"WEBHOOK": f"http://127.0.0.1:{port}"}


@pytest.mark.slow
def test_worker_continues_after_the_last_window_that_it_checked(start, webhook, busy_project, tmp_path):
    """All windows are above the threshold, so the third one after the stored end causes the alert."""
    receiver, address = webhook
    stored = int(time.time()) // 20 * 20 - 600
    (tmp_path / "worker.state").write_text(str(stored))
    start(f"python {EXAMPLES / 'worker.py'}", busy_project | address)
    receiver.wait_for(("received: videoFreezeRate above 1% for 60 s: 2.2% at 11:52:40",))
    third = datetime.fromtimestamp(stored + 40, UTC)
    assert receiver.lines[-1].endswith(f"at {third:%H:%M:%S}")


@pytest.mark.slow
def test_worker_ends_with_0_at_sigterm_and_keeps_its_state(start, webhook, busy_project, tmp_path):
    receiver, address = webhook
    begun = int(time.time())
    worker = start(f"python {EXAMPLES / 'worker.py'}", busy_project | address)
    receiver.wait_for(("received: videoFreezeRate above 1% for 60 s: 2.2% at 11:52:40",))
    assert worker.stop(signal.SIGTERM) == 0
    worker.wait_for(("INFO worker: stopped; the next start continues from worker.state",))
    assert "Traceback" not in "\n".join(worker.lines)
    assert begun - 620 < int((tmp_path / "worker.state").read_text()) <= time.time()


@pytest.mark.slow
def test_nightly_script_twice_doubles_no_row(project, tmp_path):
    store = tmp_path / "calls.store"
    counts = []
    for _ in range(2):
        done = subprocess.run(
            ["sh", EXAMPLES / "nightly" / "nightly.sh"],
            env=project | {"STORE": str(store)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        keys = "count(distinct (call_id, sid, mid, peer_uid, ts))"
        counts.append(open_store(store).sql(f"select count(*), {keys} from metrics").fetchall()[0])
    ((rows, distinct), again) = counts
    assert rows == distinct > 0
    assert again == (rows, distinct)


@pytest.mark.slow
def test_nightly_script_passes_on_the_exit_code(project, tmp_path):
    wrong = {"STORE": str(tmp_path / "calls.store"), "AGORA_CUSTOMER_SECRET": "wrong"}
    done = subprocess.run(
        ["sh", EXAMPLES / "nightly" / "nightly.sh"],
        env=project | wrong,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 77
    assert "the harvest failed with exit code 77" in done.stderr


def get(url, *words):
    """Return the status, the headers and the JSON of a GET request."""
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "60", *words, url], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    status, *fields = head.splitlines()
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    return int(status.split()[1]), headers, json.loads(body)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_web_backend_returns_records_and_errors_as_json(start, project):
    pytest.importorskip("fastapi")
    port = free_ports()["8000"]
    backend = start(f"uvicorn --app-dir {EXAMPLES} web_backend:app --port {port} --workers 2", project)
    ready = "INFO:     Application startup complete."
    backend.wait_for((ready, ready))
    base = f"http://127.0.0.1:{port}"
    status, _, calls = get(f"{base}/calls?since=3h")
    assert status == 200
    status, _, page = get(f"{base}/calls/{calls[-1]['call_id']}")
    assert status == 200
    assert page["call"] == calls[-1]
    assert {session["cname"] for session in page["sessions"]} == {calls[-1]["cname"]}
    status, _, quotas = get(f"{base}/quota")
    assert status == 200
    assert {"call/lists", "call/sessions"} <= {quota["endpoint"] for quota in quotas}
    assert get(f"{base}/calls?since=yesteryear")[0] == 422
    assert get(f"{base}/calls/{'0' * 24}")[0] == 404
    assert backend.stop() == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_web_backend_reports_wrong_credentials_as_bad_gateway(start, project):
    pytest.importorskip("fastapi")
    port = free_ports()["8000"]
    wrong = {"AGORA_CUSTOMER_SECRET": "wrong"}
    backend = start(f"uvicorn --app-dir {EXAMPLES} web_backend:app --port {port}", project | wrong)
    backend.wait_for(("INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",))
    status, _, body = get(f"http://127.0.0.1:{port}/calls?since=3h")
    assert status == 502
    assert "authentication" in body["detail"]
