"""Four mistakes that were made in other implementations of a call score; each has a test."""

import pytest

from agora_analytics.errors import InvalidRequest
from agora_analytics.scoring import e_model
from agora_analytics.scoring.audio_score import audio_score, mos_sql, rating_sql
from agora_analytics.scoring.e_model import Transmission


def test_count_of_lost_packets_is_not_taken_for_a_share():
    """homer-api #172: the number of lost packets was used as per cent."""
    with pytest.raises(InvalidRequest, match="share of 0 to 1"):
        audio_score(7, 20)
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        text = (
            f"select {rating_sql('loss', 'delay')} from (select 7.0::double as loss, 20.0::double as delay)"
        )
        assert connection.sql(text).fetchall() == [(None,)]


def test_score_recovers_when_the_loss_ends():
    """homer #258: the loss since the start of the call was used, so the score stayed at 1.5 instead of 4.2."""
    intervals = pytest.importorskip("tests.scoring.test_intervals")
    samples = [intervals.lost(4 * place, 0.3 if place <= 75 else 0.0) for place in range(1, 151)]
    rows = intervals.audio(*samples, *(intervals.round_trip(4 * place, 40) for place in range(1, 151)))
    assert rows[0]["score"] == rows[74]["score"] == pytest.approx(audio_score(0.3, 20))
    assert rows[75]["score"] == rows[-1]["score"] == pytest.approx(audio_score(0.0, 20))


def test_integers_do_not_remove_the_delay_term():
    """wire-avs #187: `1/6` was computed with integers, so the exponent was 0 and the delay had no effect."""
    assert e_model.absolute_delay_impairment(Transmission(delay=200)) == pytest.approx(3.04, abs=0.005)
    assert audio_score(0, 300) < audio_score(0, 100) < audio_score(0, 0)
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        rating = rating_sql("loss", "delay")
        text = f"select {mos_sql(rating)} from (select 0::integer as loss, 300::integer as delay)"
        assert connection.sql(text).fetchall() == [(pytest.approx(audio_score(0, 300)),)]


def test_delay_is_never_a_bonus():
    """rtcscore c1c277c: `0.1 * delay - 150` raised the score with the delay: 600 ms and 20 % loss had a MOS of 4.5."""
    assert audio_score(0.2, 300) < 2
    scores = [audio_score(0.0, delay) for delay in range(0, 1000, 5)]
    assert scores == sorted(scores, reverse=True)
    assert audio_score(0, 85) < audio_score(0, 75)
