"""The signature, held against the vendor's own example and the official SDK's signer."""

import logging
from datetime import datetime
from hashlib import sha256
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agora_analytics.apsaravideo.auth import Credentials, canonical_request, signed_headers
from tests.apsaravideo import official

KEY = Credentials("an-id", "a-secret/with+signs=")
NOW = datetime.fromisoformat("2026-11-19T12:00:00Z").timestamp()
FORM = "application/x-www-form-urlencoded"
QUESTION = {
    "MetricType": "FirstFrameCost",
    "BeginTs": "1698195600000",
    "EndTs": "1698201013000",
    "AppId": "e4d7",
}


def sign(query=(), *, method="POST", body=b"", content_type=None, credentials=KEY, nonce="n", now=NOW):
    return signed_headers(
        method=method, host="live.aliyuncs.com", query=query, body=body, content_type=content_type,
        action="DescribeLiveInteractionMetricData", credentials=credentials, now=now, nonce=nonce,
    )  # fmt: skip


def test_the_example_of_the_documentation():
    query = [
        ("RegionId", "cn-shanghai"),
        ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
    ]
    headers = signed_headers(
        method="POST",
        host="ecs.cn-shanghai.aliyuncs.com",
        query=query,
        action="RunInstances",
        version="2014-05-26",
        credentials=Credentials("YourAccessKeyId", "YourAccessKeySecret"),
        now=datetime.fromisoformat("2023-10-26T10:22:32Z").timestamp(),
        nonce="3156853299f313e23d1673dc12e1703d",
    )
    assert headers.pop("authorization") == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;"
        "x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )
    canonical, _ = canonical_request("POST", "/", query, headers)
    digest = sha256(canonical.encode()).hexdigest()
    assert (digest[:12], digest[-6:]) == ("7ea06492da52", "b1e259")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", [None, "an/STS+token=="])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Os": "iOS", "TerminalType": "mobile"},
        {"ChannelId": "770513"},
        {"ChannelId": " *~/+%!'()&=#?:@$,;[]\"\\<>|^`{}"},
        {"ChannelId": "频道 ä🎥"},
        {"Os": "", "ChannelId": ""},
        {"b": "2", "a": "1", "B": "3", "A-": "4", "a~": "5", "_": "6"},
    ],
)
def test_it_is_the_official_one(method, token, more):
    credentials = Credentials(KEY.access_key_id, KEY.access_key_secret, security_token=token)
    query = QUESTION | more
    headers = sign(query.items(), method=method, credentials=credentials)
    assert ("x-acs-security-token" in headers) == (token is not None)
    ours = headers.pop("authorization")
    assert ours == official.authorization(
        method, query, headers, b"", KEY.access_key_id, KEY.access_key_secret
    )


def test_a_form_is_signed_by_its_bytes():
    body = urlencode(QUESTION | {"ChannelId": "a *~ä"}).encode()
    headers = sign(body=body, content_type=FORM)
    assert headers["x-acs-content-sha256"] == sha256(body).hexdigest()
    ours = headers.pop("authorization")
    assert "content-type;host;" in ours
    assert ours == official.authorization("POST", {}, headers, body, KEY.access_key_id, KEY.access_key_secret)


# The SDK leaves the names of parameters as they are, where the document has them encoded; no name needs it.
names = st.text("abcXYZ019-_.~", min_size=1, max_size=12)
words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@settings(deadline=None)  # the first example imports the SDK
@given(
    method=st.sampled_from(["GET", "POST"]),
    query=st.dictionaries(names, words, max_size=6),
    body=st.binary(max_size=40),
    content_type=st.sampled_from([None, FORM, "application/json; charset=utf-8"]),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30),
    token=st.sampled_from([None, "t", "a-token/+=="]),
    nonce=st.text("abcdef0123456789", min_size=1, max_size=32),
    now=st.integers(0, 4_000_000_000),
)
def test_it_is_the_official_one_over_any_request(
    method, query, body, content_type, secret, token, nonce, now
):
    credentials = Credentials("id", secret, security_token=token)
    headers = sign(
        query.items(), method=method, body=body, content_type=content_type, credentials=credentials,
        nonce=nonce, now=now,
    )  # fmt: skip
    ours = headers.pop("authorization")
    assert ours == official.authorization(method, query, headers, body, "id", secret)


def test_whatever_a_request_holds_changes_its_signature():
    one = sign(QUESTION.items())
    others = [
        sign((QUESTION | {"AppId": "other"}).items()),
        sign(QUESTION.items(), method="GET"),
        sign(QUESTION.items(), nonce="m"),
        sign(QUESTION.items(), now=NOW + 1),
        sign(QUESTION.items(), body=b"x"),
        sign(QUESTION.items(), credentials=Credentials("an-id", "another")),
        sign(QUESTION.items(), credentials=Credentials("an-id", KEY.access_key_secret, security_token="t")),
    ]
    assert len({headers["authorization"] for headers in (one, *others)}) == len(others) + 1
    assert sign(reversed(QUESTION.items())) == one


def test_the_import_of_the_sdk_leaves_no_trace():
    official.module("alibabacloud_tea_openapi.client")
    logger = logging.getLogger("darabonba-core")
    assert (logger.handlers, logger.level) == ([], logging.NOTSET)
