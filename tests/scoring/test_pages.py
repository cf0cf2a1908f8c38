"""The pages of docs/scores show the numbers that the code has."""

import re
from pathlib import Path

import pytest

from agora_analytics.scoring.audio_score import ASSUMPTIONS, CODECS, audio_score
from agora_analytics.scoring.profiles import PROFILES, SCORE_METRICS, Threshold
from agora_analytics.scoring.samples import SAMPLE_INTERVALS
from agora_analytics.scoring.video_score import video_score

PAGES = Path(__file__).parents[2] / "docs" / "scores"


def page(name):
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def row(threshold: Threshold) -> str:
    limit = f"{threshold.value:g}" + " of the time" * threshold.share_of_time
    words = {"above": ("above", "at least"), "below": ("below", "at most")}[threshold.direction]
    persistence = ""
    if rule := threshold.persistence:
        persistence = f"mean of {rule.samples} samples" if rule.samples else f"for {rule.seconds:g} s"
        if rule.at_least:
            persistence = f"{rule.at_least} of {rule.samples} samples"
    evaluated = "as a score" if threshold.metric in SCORE_METRICS else "yes" if threshold.is_sampled else "no"
    cells = (
        f"`{threshold.metric}`",
        f"{words[threshold.inclusive]} {limit}",
        threshold.level,
        persistence,
        evaluated,
    )
    return f"| {' | '.join(cells)} |"


def test_every_profile_has_a_section():
    assert re.findall(r"^### `(.+)`$", page("profiles"), re.MULTILINE) == list(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_limits_and_source_of_a_profile_are_documented(name):
    section = page("profiles").split(f"### `{name}`\n")[1].split("\n### ")[0]
    assert PROFILES[name].source in section
    assert PROFILES[name].note in section
    assert re.findall(r"^\| `.*$", section, re.MULTILINE) == [row(each) for each in PROFILES[name].thresholds]


def test_audio_scores_of_the_page():
    delays, rows = (
        (0, 25, 100, 200, 300),
        re.findall(r"^\| (\d+) % \| (.+) \|$", page("audio-score"), re.MULTILINE),
    )
    assert len(rows) == 6
    for loss, values in rows:
        assert values.split(" | ") == [f"{audio_score(int(loss) / 100, delay):.2f}" for delay in delays]


def test_assumptions_of_the_page():
    text = page("audio-score")
    for value in (
        ASSUMPTIONS.codec_delay,
        ASSUMPTIONS.jitter_buffer,
        ASSUMPTIONS.devices,
        ASSUMPTIONS.server_transit,
    ):
        assert f"| {value:g} ms |" in text
    assert f"Bpl = {CODECS[ASSUMPTIONS.codec].loss_robustness}" in text


def test_video_scores_of_the_page():
    rows = re.findall(r"^\| (\d+)x(\d+), (\d+) fps \| (.+) \|$", page("video-score"), re.MULTILINE)
    assert len(rows) == 4
    for width, height, rate, values in rows:
        scores = [
            video_score(share, float(rate), float(width), float(height)) for share in (0.0, 0.05, 0.1, 0.3)
        ]
        assert values.split(" | ") == [f"{score:.2f}" for score in scores]


def test_sample_intervals_of_the_page():
    rows = re.findall(r"^\| (Agora|OpenTok) \| (\d+) s \| (\d+) s \|$", page("worst-window"), re.MULTILINE)
    assert {name.lower(): (int(nominal), int(longest)) for name, nominal, longest in rows} == {
        name: (SAMPLE_INTERVALS[name].nominal, SAMPLE_INTERVALS[name].longest)
        for name in ("agora", "opentok")
    }
