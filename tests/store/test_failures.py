"""Failures of the file system: one line of text with advice, and no committed data is lost."""

import contextlib
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from agora_analytics.errors import InvalidRequest, StoreDamaged, StoreError, StoreVersionError
from agora_analytics.store import open_store, parquet_file, query
from agora_analytics.store.failures import store_error
from agora_analytics.store.layout import Layout
from tests.conftest import slow
from tests.harvest.damage import flip_page

from .sample_calls import (
    APP,
    PARTITION,
    call,
    large_metrics,
    metrics,
    sessions,
    store_call,
    whole_calls_only,
)
from .subprocesses import run

URLS = [
    "s3://bucket/calls.store",
    "gs://bucket/calls.store",
    "az://container/calls.store",
    "abfss://container@account/calls.store",
    "https://example.com/calls.store",
    "file:///data/calls.store",
    "S3:/bucket",
]
BUCKETS = ("s3:", "gs:", "az:")


def one_line(problem) -> str:
    text = str(problem.value)
    assert "\n" not in text
    return text


@contextlib.contextmanager
def mounted(folder: Path, options: str):
    """A file system of its own for the test, where the user may mount one."""
    folder.mkdir(exist_ok=True)
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root to mount")
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True
    ).returncode:
        pytest.skip("cannot mount here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_full_disk_keeps_committed_data_and_allows_a_later_retry(tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        store = open_store(disk / "store", create=True)
        store_call(store, "before")
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(StoreError) as problem:
            store.writer.put("metrics", "big", large_metrics(), **PARTITION, pending=True)
        text = one_line(problem)
        assert "big.parquet: No space left on device" in text
        assert "all committed data is safe; free space and run the same command again" in text
        assert problem.value.__cause__.errno == errno.ENOSPC
        assert not list((store.path / "_staging").rglob("*.parquet"))
        assert whole_calls_only(store) == 1
        with pytest.raises(StoreError, match=r"No space left"):
            store.writer.compact(closed_before="2027-01-01")
        assert whole_calls_only(store) == 1
        ballast.unlink()
        store.writer.put("metrics", "big", large_metrics(), **PARTITION, pending=True)
        store_call(store, "after")
        assert whole_calls_only(store) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_file_size_limit_is_reported_like_a_full_disk(tmp_path):
    code, output = run("limited_process.py", tmp_path / "store")
    assert (code, output.strip().split(": ", 1)[1]) == (
        0,
        "File too large; all committed data is safe; free space and run the same command again",
    )


def test_read_only_folder_can_be_read_but_not_written(tmp_path):
    with mounted(tmp_path / "disk", "size=2m") as disk:
        store = open_store(disk / "store", create=True)
        store_call(store, "c")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        reader = open_store(store.path)
        assert whole_calls_only(reader) == 1
        assert reader.table("calls").num_rows == 1
        with pytest.raises(StoreError, match=r"Read-only file system") as problem:
            reader.writer.put("calls", "d", pa.table({"call_id": ["d"]}), **PARTITION, pending=False)
        assert "grant this user write permission, or choose another folder" in one_line(problem)
        with pytest.raises(StoreError, match=r"Read-only file system"):
            reader.writer.compact(closed_before="2027-01-01")
        with pytest.raises(StoreError, match=r"cannot create the store .*Read-only file system"):
            open_store(disk / "another", create=True)


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="the right to write is not denied to root"
)
def test_missing_permission_is_reported(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(StoreError, match=r"Permission denied") as problem:
            open_store(tmp_path / "store", create=True)
    finally:
        tmp_path.chmod(0o755)
    assert "choose another folder" in one_line(problem)


@pytest.mark.parametrize(
    ("action", "permission"), [("cannot read", "read"), ("cannot list", "read"), ("cannot write", "write")]
)
def test_advice_names_the_permission_that_is_missing(action, permission):
    error = store_error(action, "calls", PermissionError(errno.EACCES, "Permission denied"))
    assert f"grant this user {permission} permission" in str(error)


def test_file_in_place_of_a_folder_is_reported(store):
    (store.path / "metrics").write_text("mine")
    with pytest.raises(StoreError, match=r"there is a file where a folder is needed") as problem:
        store.writer.put("metrics", "c", metrics("c"), **PARTITION, pending=False)
    one_line(problem)
    assert not list((store.path / "_staging").rglob("*.parquet"))
    with pytest.raises(StoreError, match=r"there is a file where a folder is needed"):
        store.files("metrics")


@pytest.mark.parametrize("create", [True, False])
def test_a_file_is_not_a_store(tmp_path, create):
    (tmp_path / "store").write_text("mine")
    with pytest.raises(StoreError, match=r"it is a file; a store is a folder"):
        open_store(tmp_path / "store", create=create)
    with pytest.raises(StoreError, match=r"cannot (open|create) the store"):
        open_store(tmp_path / "store" / "below", create=create)


def test_folder_with_other_files_is_not_changed(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"contains other files \(thesis.txt\) and no _store.json"):
        open_store(tmp_path, create=True)
    with pytest.raises(StoreError, match=r"is not a store: it has no _store.json"):
        open_store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_opening_a_missing_store_does_not_create_it(tmp_path):
    with pytest.raises(StoreError, match=r"the store .* does not exist; .* harvest") as problem:
        open_store(tmp_path / "store")
    one_line(problem)
    assert not list(tmp_path.iterdir())


def test_folder_inside_a_store_is_answered_with_the_store(store):
    store_call(store, "c")
    with pytest.raises(StoreError, match=f"it has no _store.json; give {store.path}, which contains it"):
        open_store(store.files("metrics")[0].parent)


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    ("kind", "url"),
    [*((Path, url) for url in URLS), *((str, url) for url in URLS if not url.lower().startswith(BUCKETS))],
)
def test_url_is_not_a_store(tmp_path, monkeypatch, url, kind, create):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest, match="a store is a folder or a bucket; give the") as problem:
        open_store(kind(url), create=create)
    one_line(problem)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a:b", "s3", "app_id=x", "2026-11-20T08:00", "C:"])
def test_folder_with_a_colon_is_not_a_url(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert open_store(f"{name}/calls.store", create=True).path == tmp_path / name / "calls.store"


@pytest.mark.parametrize(
    ("number", "advice"), [(4, "upgrade agora-analytics"), (1, "read it with the version that wrote it")]
)
@pytest.mark.parametrize("create", [True, False])
def test_other_format_version_is_refused(store, number, advice, create):
    (store.path / "_store.json").write_text(
        json.dumps({"format": number, "created_by": "agora-analytics 9.1"})
    )
    with pytest.raises(
        StoreVersionError, match=f"format {number}, written by agora-analytics 9.1; .*{advice}"
    ) as problem:
        open_store(store.path, create=create)
    one_line(problem)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "x"}'])
def test_format_file_with_another_content_is_reported(store, text):
    (store.path / "_store.json").write_text(text)
    with pytest.raises(StoreError, match=r"_store.json: it is damaged"):
        open_store(store.path, create=True)


@pytest.mark.parametrize(
    "content", [b"", b'{"format": 2, "crea', b'{"format": 2, "created_by": "\xff"}', None]
)
def test_format_file_that_a_crash_cut_is_written_again_by_the_next_harvest(store, content):
    store_call(store, "a")
    path = store.path / "_store.json"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
        if b"\xff" not in content:  # its format can still be read
            with pytest.raises(StoreError, match=r"_store.json: it is damaged; run the harvest again"):
                open_store(store.path)
    assert whole_calls_only(open_store(store.path, create=True)) == 1
    assert json.loads(path.read_text())["format"] == 3
    assert whole_calls_only(open_store(store.path)) == 1


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _empty(content: bytes) -> bytes:
    return content[:0]


def _garble_pages(content: bytes) -> bytes:
    return content[:4] + bytes(255 - byte for byte in content[4:200]) + content[200:]


def _garble_footer(content: bytes) -> bytes:
    return content[:-40] + b"\xff" * 20 + content[-20:]


@pytest.mark.parametrize("damage", [_cut, _garble_pages, _garble_footer, _empty])
@pytest.mark.parametrize("small", [False, slow(True)])
def test_damaged_file_is_named_in_the_error(store, monkeypatch, damage, small):
    monkeypatch.setattr(parquet_file, "SMALL", 10_000 if small else 0)
    for call_id in ("a", "b", "c"):
        store_call(store, call_id)
    broken = store.files("metrics")[3]
    broken.write_bytes(damage(broken.read_bytes()))
    for read in (
        lambda: query.fetch(
            Layout(store.path),
            "select sum(value), max(sid), min(call_id), max(peer_uid), max(mid), max(ts) from metrics",
            lambda relation: relation.fetchall(),
        ),
        lambda: store.table("metrics"),
        lambda: store.writer.read("metrics", "b.00001", **PARTITION, pending=False),
    ):
        with pytest.raises(
            StoreDamaged, match=r"b.00001.parquet: the file is damaged .*run the harvest with --verify"
        ) as problem:
            read()
        one_line(problem)
    (skipped,) = store.writer.compact(closed_before="2027-01-01").skipped
    assert skipped.damaged
    assert "b.00001.parquet: the file is damaged" in skipped.reason


def test_damaged_row_of_a_call_is_named_in_the_error(store):
    store_call(store, "a")
    broken = store.files("calls")[0]
    broken.write_bytes(b"nothing")
    for read in (
        lambda: store.writer.calls(APP),
        lambda: store_call(store, "a"),
    ):
        with pytest.raises(StoreDamaged, match=r"a.parquet: the file is damaged"):
            read()
    (skipped,) = store.writer.compact(closed_before="2027-01-01").skipped
    assert "a.parquet: the file is damaged" in skipped.reason


def test_damaged_listing_is_named_in_the_error(store):
    store.writer.put_listing(APP, 0, 10, 0, [], "")
    page = next((store.path / "_listing").rglob("*.parquet"))
    page.write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"0-10.00000.parquet: the file is damaged"):
        store.writer.listings(APP)


@pytest.mark.skipif(sys.platform != "linux", reason="names the file of a descriptor")
@pytest.mark.parametrize("durable", [True, False])
def test_commit_is_flushed_to_the_disk_unless_declined(tmp_path, monkeypatch, durable):
    """Each file is flushed before it is renamed, and each folder after that, new folders included."""
    flushed, original = [], os.fsync

    def fsync(descriptor):
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store = open_store(tmp_path / "store", create=True, **({} if durable else {"durable": False}))
    assert bool(flushed) == durable
    flushed.clear()
    store.writer.put("sessions", "a", sessions("a"), **PARTITION, pending=True)
    app, day = (f"{key}={value}" for key, value in PARTITION.items())
    expected = ["0.parquet", app, "sessions", "_pending", "store", day]
    assert flushed == (expected if durable else [])
    flushed.clear()
    store.writer.publish(**PARTITION, metrics=[], sessions=sessions("a"), call="a", row=call("a"))
    expected = [
        name
        for number, table in ((1, "sessions"), (2, "calls"))
        for name in (f"{number}.parquet", app, table, "store", day)
    ]
    assert flushed == (expected if durable else [])


def test_damaged_page_is_found_by_its_checksum(store):
    store_call(store, "a")
    broken = store.files("metrics")[0]
    flip_page(broken)
    with pytest.raises(StoreDamaged, match=r"a.00000.parquet: the file is damaged"):
        store.writer.read("metrics", "a.00000", **PARTITION, pending=False)
    assert store.writer.repair(APP, refetch_from=0).files == ()
    (found,) = store.writer.repair(APP, refetch_from=0, verify=True).files
    assert found.path == broken.relative_to(store.path).as_posix()
    assert (store.path / "_damaged" / found.path).exists()
    assert store.counts()["calls"] == 0  # so that the call is fetched again
