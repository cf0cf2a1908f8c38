"""`report` reads a store in a bucket as it reads a folder."""

from agora_analytics.insight import report
from agora_analytics.store import open_store
from tests.insight.report.report_calls import SINCE, UNTIL, random_calls
from tests.insight.stored_calls import store_calls


def test_report_of_a_bucket_is_that_of_a_folder(s3, tmp_path):
    bucket = open_store(f"{s3.url}/calls", create=True)
    folder = open_store(tmp_path / "store", create=True, durable=False)
    for store in (bucket, folder):
        store_calls(store, random_calls(calls=3, seed=1))
    bucket.writer.commit()
    results = [report(store, since=SINCE, until=UNTIL) for store in (bucket, folder)]
    assert results[0] == results[1]
    assert results[0].calls == 3
