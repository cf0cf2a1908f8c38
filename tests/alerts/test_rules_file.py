"""Reading alerts.toml."""

import pytest

from agora_analytics.agora.enums import Product
from agora_analytics.alerts import AlertRule, Silence, read_rules
from agora_analytics.errors import ConfigurationError, InvalidRequest
from tests.alerts.receiver import SECRET

RULE = '[[alert]]\nname = "freezes"\nmetric = "video_freeze_rate"\nabove = 0.05\n'


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "alerts.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_rules(path)

    return read


def test_all_keys(read):
    rules = read("""
        [webhook]
        url = "https://hooks.example.com/a"
        [[alert]]
        name = "freezes"
        metric = "video_freeze_rate"
        above = 0.05
        for = "2m"
        by = "country"
        only = ["India"]
        silence = "1h"
        min_users = 5
        product = "webrtc"
        [[silence]]
        since = "2026-12-24T18:00Z"
        until = 2026-12-25
        alerts = ["freezes"]
    """)
    assert rules.rules == (
        AlertRule(
            name="freezes", metric="video_freeze_rate", above=0.05, duration=120, by="country",
            only=("India",), silence=3600, min_users=5, product=Product.WEBRTC,
        ),
    )  # fmt: skip
    assert rules.silences == (Silence(since=1798135200, until=1798156800, alerts=("freezes",)),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"there is no rule; add \[\[alert\]\]"),
        (RULE + RULE, "two alerts have the name 'freezes'"),
        (RULE + "limit = 3", "unknown key 'limit'"),
        (RULE + "fro = '2m'", "did you mean 'for'"),
        (RULE + "for = 120", 'write "120s" for seconds'),
        (RULE + "for = 'soon'", "for is not a duration"),
        (RULE + "min_users = true", "min_users of .* is not a whole number"),
        (RULE + "by = 'country'\nonly = [1]", "only of .* is not a list of texts"),
        (RULE + "product = 'web'", "unknown product 'web'; use one of native, webrtc"),
        (RULE.replace('metric = "video_freeze_rate"\n', ""), "has no metric"),
        (RULE + "[[silence]]\nsince = '1h'\nuntil = 'now'", "since='1h' is relative"),
        (RULE + "[[silence]]\nsince = 2026-01-02T00:00:00\nuntil = 'now'", "has no time zone"),
        (RULE + "[[silence]]\nsince = '2026-01-02'\nuntil = '2026-01-01'", "ends before it begins"),
        (RULE + "[[silence]]\nsince = '2026-01-01'\nuntil = '2026-01-02'\nalerts = ['freeze']", "did you mean 'freezes'"),
        ("alert = 3", r"alert of .* is not a list"),
        (RULE + "[webhok]", "did you mean 'webhook'"),
    ],
)  # fmt: skip
def test_wrong_file_is_refused_with_its_place(read, text, reason):
    with pytest.raises(InvalidRequest, match=reason) as caught:
        read(text)
    assert "alerts.toml" in str(caught.value)


@pytest.mark.parametrize(("text", "reason"), [("[[alert", "alerts.toml"), (b"\xff", "not UTF-8")])
def test_unreadable_file_is_refused(read, text, reason):
    with pytest.raises(ConfigurationError, match=reason):
        read(text)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"rules.toml: No such file"):
        read_rules(tmp_path / "rules.toml")


@pytest.mark.parametrize(
    ("webhook", "reason"),
    [
        ("", r"no \[webhook\] with a url"),
        ("[webhook]\nsecret_env = 'A_SECRET'", "either url or url_env"),
        ("[webhook]\nurl = 'https://a.example'\nurl_env = 'A_URL'", "either url or url_env"),
        ("[webhook]\nurl = ''", "not valid"),
        ("[webhook]\nurl_env = 'https://hooks.example.com/token'", "names of environment variables"),
        ("[webhook]\nurl_env = 'A_URL'", "A_URL is not set"),
        ("[webhook]\nurl = 'https://a.example'", "AGORA_ALERT_SECRET is not set"),
    ],
)
def test_webhook_that_cannot_be_used_is_refused_when_it_is_needed(read, webhook, reason, monkeypatch):
    if "url = ''" in webhook:
        monkeypatch.setenv("AGORA_ALERT_SECRET", SECRET)
    rules = read(RULE + webhook)
    with pytest.raises(ConfigurationError, match=reason) as caught:
        _ = rules.webhook
    assert "token" not in str(caught.value)


def test_url_and_secret_of_the_environment(read, monkeypatch):
    monkeypatch.setenv("A_URL", "https://hooks.example.com/token")
    monkeypatch.setenv("A_SECRET", SECRET)
    rules = read(RULE + "[webhook]\nurl_env = 'A_URL'\nsecret_env = 'A_SECRET'")
    assert (rules.webhook.url, rules.webhook.secret) == ("https://hooks.example.com/token", SECRET)
    assert "token" not in repr(rules)
