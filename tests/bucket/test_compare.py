"""`compare` reads a store in a bucket as it reads a folder."""

from agora_analytics.insight import compare
from agora_analytics.store import open_store
from tests.insight.stored_calls import PERIODS, store_calls
from tests.insight.test_compare import planted_calls


def test_bucket_is_compared_with_own_groups(s3, tmp_path):
    bucket = open_store(f"{s3.url}/calls", create=True)
    folder = open_store(tmp_path / "store", create=True, durable=False)
    for store in (bucket, folder):
        store_calls(store, planted_calls(calls=3))
    bucket.writer.commit()
    groups = {"4.4.0": "old", "4.5.0": "old", "4.6.0": "new"}
    results = [
        compare(store, "video_freeze_rate", by="sdk_version", groups=groups, **PERIODS)
        for store in (bucket, folder)
    ]
    assert results[0] == results[1]
    assert {group.group for group in results[0].groups} == {"old", "new"}
