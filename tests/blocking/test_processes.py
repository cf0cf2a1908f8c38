"""The blocking client in other processes: forked, interrupted, left unclosed, and in a notebook."""

import os
import signal
import subprocess
import sys
import time

import pytest

from agora_analytics.simulator import Faults, Simulator, serve_in_thread
from tests.blocking.conftest import CUSTOMER, MIDNIGHT, SETTINGS, SHIFT, Shifted
from tests.conftest import slow

RANGE = f"{MIDNIGHT - 6 * 3600}, {MIDNIGHT}"
MAKING = f"""
import os, sys, threading, time, warnings
from agora_analytics.blocking import Agora

class Shifted:
    def now(self):
        return time.time() + {SHIFT}

def make(**more):
    customer = os.environ["AGORA_CUSTOMER_ID"], os.environ["AGORA_CUSTOMER_SECRET"]
    return Agora(*customer, **{SETTINGS!r}, base_url="BASE", clock=Shifted(), **more)
"""


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    """For the processes: a notebook's code is in the notebook's log, so no secret is in it."""
    for name, value in zip(("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET"), CUSTOMER, strict=True):
        monkeypatch.setenv(name, value)


def process(script: str, base_url: str, **more) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", MAKING.replace("BASE", base_url) + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def run(script: str, base_url: str) -> tuple[int, str, str]:
    running = process(script, base_url)
    out, err = running.communicate(timeout=60)
    return running.returncode, out, err


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_a_forked_worker_uses_the_client_as_it_is(base_url):
    script = f"""
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
with make() as client:
    before = len(client.calls({RANGE}).collect())
    pid = os.fork()
    if pid == 0:
        found = len(client.calls({RANGE}).collect())
        client.close()
        print("child", found, threading.active_count(), flush=True)
        sys.exit(0)
    status = os.waitpid(pid, 0)[1]
    print("parent", before, len(client.calls({RANGE}).collect()), status)
"""
    code, out, err = run(script, base_url)
    assert (code, sorted(out.split())) == (0, sorted(["child", "30", "1", "parent", "30", "30", "0"])), err


@needs_fork
def test_a_fork_while_the_client_works(base_url):
    script = f"""
warnings.simplefilter("ignore")
with make() as client:
    iterator = iter(client.calls({RANGE}, page_size=5))
    next(iterator)
    pid = os.fork()
    if pid == 0:
        del iterator
        print(len(client.calls({RANGE}).collect()), flush=True)
        sys.exit(0)  # unclosed, and the exit does not hang
    assert os.waitpid(pid, 0)[1] == 0
    print(1 + len(list(iterator)))
"""
    code, out, err = run(script, base_url)
    assert (code, out.split()) == (0, ["30", "30"]), err


@needs_fork
def test_unsafe_sharing_between_processes_is_refused(base_url):
    script = f"""
import httpx
warnings.simplefilter("ignore")
client = make(http_client=httpx.AsyncClient())
listing = client.calls({RANGE})
print(len(listing.collect()), flush=True)
pid = os.fork()
if pid == 0:
    for work in (lambda: client.calls({RANGE}), listing.collect):
        try:
            work()
        except RuntimeError as error:
            print(error, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
client.close()
"""
    code, out, err = run(script, base_url)
    assert code == 0, err
    assert "its http_client belongs to the other process" in out
    assert "this listing was created before a fork" in out


@needs_fork
def test_iteration_ends_in_a_forked_process(base_url):
    script = f"""
warnings.simplefilter("ignore")
client = make()
begun, made = iter(client.calls({RANGE}, page_size=5)), iter(client.calls({RANGE}).pages())
next(begun)
if (pid := os.fork()) == 0:
    for each in (begun, made):
        try:
            list(each)
        except RuntimeError as error:
            print(error, flush=True)
    print(len(client.calls({RANGE}).collect()), flush=True)
    client.close()
    os._exit(0)
os.waitpid(pid, 0)
print(1 + len(list(begun)), len(next(made).records))
client.close()
"""
    code, out, err = run(script, base_url)
    assert code == 0, err
    assert [line[:37] for line in out.splitlines()] == [
        *["this iteration was started before a fork"[:37]] * 2, "30", "30 30",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
def test_ctrl_c_while_the_thread_starts_loses_no_thread(base_url):
    script = f"""
import asyncio, signal

interrupted = threading.Event()

class Interrupting(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        if not interrupted.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            interrupted.wait(30)
        return super().new_event_loop()

asyncio.set_event_loop_policy(Interrupting())
client = make()
try:
    client.calls({RANGE}).collect()
except KeyboardInterrupt:
    interrupted.set()
    print("interrupted", flush=True)
print(len(client.calls({RANGE}).collect()))  # the client still works
client.close()
print(threading.active_count())
"""
    code, out, err = run(script, base_url)
    assert (code, out.split()) == (0, ["interrupted", "30", "1"]), err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM for one process there")
def test_a_signal_handler_closes_a_client_whose_thread_is_starting(base_url):
    script = f"""
import asyncio, faulthandler, signal

faulthandler.dump_traceback_later(20, exit=True)
handled = threading.Event()

def close(*_):
    handled.set()
    client.close()

signal.signal(signal.SIGTERM, close)

class Terminating(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        handled.wait(30)
        return super().new_event_loop()

asyncio.set_event_loop_policy(Terminating())
client = make()
try:
    client.calls({RANGE}).collect()
except RuntimeError:
    print("closed", threading.active_count())
"""
    code, out, err = run(script, base_url)
    assert (code, out.split()) == (0, ["closed", "1"]), err


CLOSING_AT_EVERY_LINE = """
import faulthandler, signal, sys, threading
from agora_analytics.blocking import Agora
from agora_analytics.messages import Response

BODY = b'{"code":200,"message":"","has_more":false,"total_size":0,"page_no":1,"page_size":100,"call_lists":[]}'
LOCKING = ("worker.py", "_base.py", "threading.py", "base_events.py", "selector_events.py", "wrappers.py")

class Empty:
    async def send(self, request):
        return Response(status=200, headers={}, body=BODY)

    async def aclose(self):
        pass

def call():
    client.calls("2h", "1h").collect()

def close_at(line, work):
    seen = 0

    def trace(frame, event, _):
        nonlocal seen
        if not frame.f_code.co_filename.endswith(LOCKING):
            return None
        seen += event == "line"
        if seen == line:
            sys.settrace(None)
            signal.raise_signal(signal.SIGTERM)
        return trace

    sys.settrace(trace)
    try:
        work()
    except RuntimeError as error:
        assert "close" in str(error), error
    finally:
        sys.settrace(None)
    return seen >= line

signal.signal(signal.SIGTERM, lambda *_: client.close())
line = 0
reached = True
while reached:
    line += 1
    faulthandler.dump_traceback_later(30, exit=True)
    client = Agora("id", "secret", app_id="app", plan="enterprise", transport=Empty())
    if BEFORE:
        call()
    reached = close_at(line, client.close if CLOSE else call)
    client.close()
    assert threading.active_count() == 1, (line, threading.enumerate())
print(line > 50)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM for one process there")
@pytest.mark.parametrize(
    ("before", "close"), [(False, False), slow(True, False), slow(True, True), (False, True)],
    ids=["first call", "later call", "close", "close of an unused client"],
)  # fmt: skip
def test_a_signal_handler_closes_a_client_at_any_line(before, close):
    script = CLOSING_AT_EVERY_LINE.replace("BEFORE", str(before)).replace("CLOSE", str(close))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, ["True"]), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
def test_ctrl_c_cancels_the_running_call(world):
    script = f"""
client = make()
task_ended = threading.Event()
try:
    client.calls({RANGE}).collect()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(len(client.calls({RANGE}).collect()))  # the client still works
started = time.perf_counter()
client.close()
print(time.perf_counter() - started < 5, threading.active_count())
"""
    simulator = Simulator(world, now=Shifted().now, faults=Faults(script=("hang",)))
    with serve_in_thread(simulator) as url:
        running = process(script, url)
        end = time.monotonic() + 60
        while not simulator.seen.requests["call/lists"]:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < end, "nothing was asked"
            time.sleep(0.01)
        sent = time.perf_counter()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        assert (running.returncode, out.split()) == (0, ["interrupted", "30", "True", "1"]), err
        assert time.perf_counter() - sent < 20  # an attempt would have waited for 30 s
        assert simulator.seen.requests["call/lists"] == 2


def test_an_unclosed_client_does_not_hold_up_the_exit(base_url):
    script = f"""
client = make()
kept = iter(client.calls({RANGE}, page_size=5))
next(kept)
print("over")
"""
    code, out, err = run(script, base_url)
    assert (code, out.split()) == (0, ["over"]), err


def test_notebook_runs_it_alongside_its_own_loop(base_url, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    cells = [
        MAKING.replace("BASE", base_url),
        "import asyncio; asyncio.get_running_loop().is_running()",
        f"client = make(); calls = client.calls({RANGE}); len(calls.collect())",
        "sum(1 for _ in calls)",
        "client.close(); [t.name for t in threading.enumerate() if t.name == 'agora-analytics']",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    shown = [cell.outputs[0].data["text/plain"] for cell in notebook.cells[1:]]
    assert shown == ["True", "30", "30", "[]"]
