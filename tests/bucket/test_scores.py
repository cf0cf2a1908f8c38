"""Scores of a store in a bucket are those of a folder with the same calls."""

from agora_analytics.insight import score
from agora_analytics.store import open_store
from tests.insight.scored_calls import BEGIN, agora_samples, put_call


def test_bucket_and_folder_have_the_same_scores(url, tmp_path):
    store = open_store(url, create=True)
    folder = open_store(tmp_path / "folder", create=True, durable=False)
    for each in (store, folder):
        put_call(each, "c1", "room", BEGIN, list(agora_samples(1, [0, 30] * 10)))
    store.writer.commit()
    for by in ("stream", "call"):
        assert score(store, by, since="2026-11-20") == score(folder, by)
    assert store.table("stream_scores").num_rows == 4
