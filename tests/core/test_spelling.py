"""Misspelt names are recognized; names unlike all documented ones are accepted."""

import pytest

from agora_analytics.core.spelling import check_spelling, did_you_mean
from agora_analytics.errors import InvalidRequest

METRICS = ["userCount", "channelCount", "videoFreezeRate", "audioFreezeRate"]
FIELDS = ["usage.hlsMinutes", "usage.sipUserMinutes", "errors.connect.attempts", "errors.connect.failures"]


@pytest.mark.parametrize(
    ("word", "names", "meant"),
    [
        ("userCont", METRICS, "userCount"),
        ("usercount", METRICS, "userCount"),
        ("user_count", METRICS, "userCount"),
        ("VideoFreezRate", METRICS, "videoFreezeRate"),
        ("usage.hlsMinuts", FIELDS, "usage.hlsMinutes"),
        ("hlsMinutes", FIELDS, "usage.hlsMinutes"),
        ("errors.connect.failure", FIELDS, "errors.connect.failures"),
    ],
)
def test_misspelt_name_is_refused_with_the_right_one(word, names, meant):
    with pytest.raises(InvalidRequest, match=f"no metric {word!r}; did you mean {meant!r}") as caught:
        check_spelling("metric", [names[0], word], names, endpoint="e")
    assert caught.value.endpoint == "e"
    assert did_you_mean(word, names) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("word", "names"), [("newMetric", METRICS), ("usage.newMinutesOfSms", FIELDS), ("", METRICS)]
)
def test_name_unlike_all_documented_ones_is_accepted(word, names):
    check_spelling("metric", word, names)
    assert did_you_mean(word, names) == ""
