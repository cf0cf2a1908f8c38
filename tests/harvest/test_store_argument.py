"""`store=` of a harvest and of its estimate: a folder, or an error before a request is spent."""

from pathlib import Path

import pytest

from agora_analytics import AsyncAgora, estimate, harvest
from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest, StoreError
from agora_analytics.harvest import harvest_insights

RUNS = {"harvest": harvest, "estimate": estimate, "harvest_insights": harvest_insights}


@pytest.fixture(params=RUNS)
async def refused(request, tmp_path, monkeypatch):
    """Run one of the functions, which must fail before it sends a request or creates a file."""
    monkeypatch.chdir(tmp_path)

    async def run(store, kind: type[AgoraAnalyticsError], match: str) -> None:
        before = sorted(tmp_path.rglob("*"))
        # nothing listens on this port, so that a request would fail with another error
        async with AsyncAgora(
            "id", "secret", app_id="a" * 32, plan="enterprise", base_url="http://127.0.0.1:9"
        ) as client:
            with pytest.raises(kind, match=match):
                await RUNS[request.param](client, since="1d", store=store)
            assert not client.sent
        assert sorted(tmp_path.rglob("*")) == before

    return run


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("url", ["https://example.com/x", "file:///x"])
async def test_url_is_refused(refused, url, kind):
    await refused(kind(url), InvalidRequest, "a store is a folder or a bucket")


@pytest.mark.parametrize("url", ["s3://bucket/x.store", "gs://bucket/x", "az://x/y"])
async def test_url_of_a_bucket_is_text(refused, url):
    await refused(Path(url), InvalidRequest, "give the URL as text")


async def test_file_is_refused(refused, tmp_path):
    (tmp_path / "calls.store").write_text("mine")
    await refused(tmp_path / "calls.store", StoreError, "it is a file; a store is a folder")


async def test_folder_with_other_files_is_refused(refused, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    await refused(str(tmp_path), StoreError, "no _store.json")


async def test_estimate_takes_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "thesis.txt").write_text("mine")
    async with AsyncAgora(
        "id", "secret", app_id="a" * 32, plan="enterprise", base_url="http://127.0.0.1:9"
    ) as client:
        with pytest.raises(StoreError, match=r"no _store\.json"):
            await estimate(client, since="1d", store="~")
