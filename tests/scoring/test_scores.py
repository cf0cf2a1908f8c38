"""The audio and the video score of one interval."""

import pytest

from agora_analytics.errors import InvalidRequest
from agora_analytics.scoring.audio_score import (
    ASSUMPTIONS,
    CODECS,
    audio_rating,
    audio_score,
    transmission,
)
from agora_analytics.scoring.e_model import mos, rating
from agora_analytics.scoring.video_score import video_score


def test_best_call_has_the_rating_of_the_fixed_delay():
    """Without loss and on a path of 0 ms, only the delay of codec, jitter buffer and devices reduces the rating."""
    assert ASSUMPTIONS.fixed_delay == 126.5
    assert audio_rating(0, 0) == pytest.approx(90.13, abs=0.005)
    assert audio_score(0, 0) == pytest.approx(4.34, abs=0.005)


@pytest.mark.parametrize(
    ("loss", "network_delay", "expected"),
    [(0, 25, 4.33), (0.01, 25, 4.22), (0.05, 25, 3.77), (0.1, 25, 3.22), (0.3, 25, 1.96), (0, 200, 3.58)],
)
def test_scores_of_typical_intervals(loss, network_delay, expected):
    """The table of docs/scores/audio-score.md."""
    assert audio_score(loss, network_delay) == pytest.approx(expected, abs=0.005)


def test_assumptions_reach_the_model_and_the_text():
    given = transmission(0.05, 25)
    codec = CODECS["opus"]
    assert (given.delay, given.echo_delay, given.round_trip_delay) == (151.5, 151.5, 303)
    assert (given.equipment_impairment, given.loss_robustness) == (0, codec.loss_robustness)
    assert given.loss_percent == 5
    assert rating(given) == audio_rating(0.05, 25)
    assert mos(rating(given)) == audio_score(0.05, 25)
    for name in ("opus", "26.5 ms", "60 ms", "40 ms", "random", "echo"):
        assert name in str(ASSUMPTIONS)


@pytest.mark.parametrize(("loss", "delay"), [(5, 0), (-0.01, 0), (float("nan"), 0)])
def test_loss_out_of_range_is_refused(loss, delay):
    with pytest.raises(InvalidRequest, match="share of 0 to 1; divide per cent by 100"):
        audio_score(loss, delay)


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf")])
def test_impossible_delay_is_refused(delay):
    with pytest.raises(InvalidRequest, match="network_delay"):
        audio_score(0, delay)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ((0, 15, 640, 360), 4.02),
        ((0, 30, 1280, 720), 4.46),
        ((0, 15, 320, 180), 3.32),
        ((0, 5, 640, 360), 3.01),
        ((0.05, 15, 640, 360), 2.92),
        ((0.1, 15, 640, 360), 2.36),
        ((0.3, 15, 640, 360), 1.53),
        ((1, 15, 640, 360), 1.0),
        ((1.5, 15, 640, 360), 1.0),
        ((0, 0, 640, 360), 1.0),
    ],
)
def test_video_scores_of_typical_intervals(inputs, expected):
    """The table of docs/scores/video-score.md. 640x360 at 15 fps is the usual picture of a video call."""
    assert video_score(*inputs) == pytest.approx(expected, abs=0.005)


def test_portrait_scores_as_landscape():
    assert video_score(0, 15, 360, 640) == video_score(0, 15, 640, 360)


@pytest.mark.parametrize("place", range(4))
def test_video_score_is_none_where_an_input_is_missing(place):
    inputs = [0, 15, 640, 360]
    inputs[place] = None
    assert video_score(*inputs) is None


def test_picture_without_pixels_has_no_score():
    assert video_score(0, 15, 0, 0) is None


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_impossible_video_input_is_refused(place, value):
    inputs = [0, 15, 640, 360]
    inputs[place] = value
    with pytest.raises(InvalidRequest, match="of 0 or more"):
        video_score(*inputs)
