"""Which bodies each reader reads, and which extras it needs."""

# ruff: noqa: UP031  a JSON text has braces of its own

import subprocess
import sys
import threading
from importlib import import_module

import pytest

from agora_analytics.decode import available, decode_metrics
from agora_analytics.decode.columns_builder import NeedsFallback

READERS = {"simdjson": "simdjson_reader", "arrow": "arrow_reader", "msgspec": "msgspec_reader"}


def module(reader):
    return import_module(f"agora_analytics.decode.{READERS[reader]}")


def session(sid: str, points: int = 4, value: str = "%d", more: str = "") -> str:
    kvs = ",".join(
        "[%d,%s]" % (1548670255 + 2 * i, value % i if "%" in value else value) for i in range(points)
    )
    return '{"sid":"%s","data":[{"mid":20001,"kvs":[%s],"peer_uid":"17"%s}]%s}' % (sid, kvs, more, more)


def test_msgspec_is_always_available():
    assert available()[-1] == "msgspec"
    assert set(available()) <= set(READERS)


def test_import_needs_no_extra():
    program = (
        "import sys, agora_analytics.decode\n"
        "print([name for name in ('numpy', 'pyarrow', 'simdjson') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_msgspec_reads_without_extras():
    program = (
        "import sys\n"
        "for name in ('numpy', 'pyarrow', 'simdjson'): sys.modules[name] = None\n"
        "from agora_analytics.decode import available, decode_metrics\n"
        "print(available(), decode_metrics(b'{\"metrics\":[]}'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("('msgspec',)")


@pytest.mark.parametrize("reader", available())
@pytest.mark.parametrize(
    "metrics",
    [
        pytest.param("", id="empty"),
        pytest.param(session("A") + "," + session("B", 0), id="as documented"),
        pytest.param(session("A", 9000, "null"), id="nulls"),
        pytest.param(session("A", 9000, "%d.25") + "," + session("A", 9000, "-1e3"), id="floats"),
        pytest.param(session("A", 9, "5", ',"unit":"ms","of":[["a"],{"b":[1]}]'), id="unknown keys"),
        pytest.param(",".join(session(f"A{i}", 5000) for i in range(20)), id="pieces"),
    ],
)
def test_fast_readers_read_usual_bodies(reader, metrics):
    body = b'{"code":200,"message":"","metrics":[%b]}' % metrics.encode()
    columns = module(reader).read(body)
    assert len(columns) == metrics.count("[15")


@pytest.mark.skipif("simdjson" not in available(), reason="needs pysimdjson")
@pytest.mark.parametrize("change", [(",", ", "), ('"sid"', '"x":0,"sid"')])
def test_simdjson_reads_unusual_bodies(change):
    body = '{"metrics":[%s]}' % ",".join(session(f"A{i}", 5000) for i in range(20))
    assert len(module("simdjson").read(body.replace(*change).encode())) == 100_000


@pytest.mark.parametrize("reader", available())
def test_fast_reader_falls_back_for_an_invalid_body(reader):
    for body in (b"", b"<html>", b'{"metrics":5}', b'{"metrics":[{"sid":"A","data":[{"mid":1}]}]}'):
        with pytest.raises(NeedsFallback):
            module(reader).read(body)


@pytest.mark.skipif("simdjson" not in available(), reason="needs pysimdjson")
def test_parser_works_after_a_kept_exception():
    kept = []
    for _ in range(3):
        try:
            module("simdjson").read(b'{"metrics":[{"sid":"A","data":[{"mid":1,"kvs":[[1,[2]]]}]}]}')
        except NeedsFallback as problem:
            kept.append(problem)
    body = b'{"metrics":[%b]}' % session("A").encode()
    assert len(kept) == 3
    assert len(module("simdjson").read(body)) == 4


def test_threads_decode_independently():
    bodies = [b'{"metrics":[%b]}' % session(f"S{i}", 300 + i).encode() for i in range(4)]
    wrong = []

    def work(i):
        for _ in range(30):
            columns = decode_metrics(bodies[i])
            if columns.sids != (f"S{i}",) or len(columns) != 300 + i:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
