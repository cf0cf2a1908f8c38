"""A bucket that is away, missing or forbidden is a `StoreError` with advice, and nothing shows credentials."""

import traceback

import pytest

from agora_analytics.errors import InvalidRequest, StoreError
from agora_analytics.store import open_store
from agora_analytics.store.bucket import location
from agora_analytics.store.bucket.bucket_errors import bucket_error
from agora_analytics.store.bucket.location import BucketLocation
from tests.bucket.sample_calls import Sample

SECRET = "test-secret-key"


@pytest.fixture(autouse=True)
def few_retries(monkeypatch):
    monkeypatch.setattr(location, "_RETRIES", 1)
    monkeypatch.setattr(location, "_DELTA_OPTIONS", {"max_retries": "1", "retry_timeout": "2s"})


def test_bucket_that_is_away_is_an_error_with_advice(url, s3, monkeypatch):
    store = open_store(url, create=True)
    sample = Sample(store)
    sample.add("c1")
    store.writer.commit()
    sample.add("c2")
    s3.server.stop()
    for action in (
        store.counts,
        store.writer.commit,
        lambda: store.writer.units("a"),
        lambda: sample.add("c3"),
        lambda: open_store(url),
        lambda: store.sql("select 1"),
    ):
        with pytest.raises(
            StoreError, match=r"cannot be reached; check the network .*; everything committed is safe"
        ):
            action()


def test_missing_bucket_is_named(s3):
    with pytest.raises(StoreError, match="NoSuchBucket; create the bucket"):
        open_store("s3://no-such-bucket-here/x", create=True)


def test_plain_http_needs_a_setting(url, monkeypatch):
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(StoreError, match="AWS_ALLOW_HTTP"):
        open_store(url, create=True)


@pytest.mark.parametrize(
    "url",
    [
        f"s3://test-access-key:{SECRET}@bucket/x",
        f"s3://bucket/x?secret={SECRET}",
        f"az://bucket/x#{SECRET}",
        "s3://",
        "s3:///x",
        "gs://bucket/a/../b",
    ],
)
def test_url_is_a_bucket_and_a_prefix(url):
    with pytest.raises(InvalidRequest) as caught:
        open_store(url)
    assert SECRET not in str(caught.value)


def test_error_text_of_the_server_is_not_shown():
    text = f"<Error><Code>SignatureDoesNotMatch</Code><StringToSign>{SECRET}</StringToSign></Error>"
    error = bucket_error("cannot read", "s3://b/x", OSError(text))
    assert str(error).startswith("cannot read s3://b/x: SignatureDoesNotMatch; check the credentials")
    assert SECRET not in str(error)


def test_credentials_are_in_no_repr_and_no_traceback(url, s3):
    store = open_store(url, create=True)
    shown = [
        repr(each) for each in (store, store.writer, store._objects, store._tables, BucketLocation.parse(url))
    ]
    s3.server.stop()
    with pytest.raises(StoreError) as caught:
        store.counts()
    shown.append("".join(traceback.format_exception(caught.value)))
    assert SECRET not in "".join(shown)
    assert "test-access-key" not in "".join(shown)
