"""The SQL of the scores is the same formula as the Python, bounded and monotone for a million random inputs."""

import pytest

from agora_analytics.scoring.audio_score import audio_rating, audio_score, mos_sql, rating_sql
from agora_analytics.scoring.video_score import video_score, video_score_sql

np = pytest.importorskip("numpy")
duckdb = pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")

MILLION = 1_000_000
EXACT = 1e-11
"""Two orders of the same operations differ by less."""


def evaluate(columns, *expressions):
    """Return the values of SQL expressions over columns, as arrays with NaN for null."""
    rows = pa.table({"place": np.arange(len(next(iter(columns.values())))), **columns})
    with duckdb.connect() as connection:
        connection.register("inputs", rows)
        text = f"select {', '.join(expressions)} from inputs order by place"
        values = connection.sql(text).to_arrow_table()
    return [column.to_numpy() for column in values.columns]


def random_audio(count, seed):
    """Losses of all magnitudes, none and all; delays from 0 to a minute."""
    draws = np.random.default_rng(seed)
    loss = draws.choice([0.0, 1.0, 1e-9, np.nan], count, p=[0.05, 0.05, 0.01, 0.89])
    loss = np.where(np.isnan(loss), draws.random(count) ** draws.integers(1, 6, count), loss)
    delay = np.where(draws.random(count) < 0.05, 0.0, 10 ** draws.uniform(-3, 4.8, count))
    return loss, delay


def random_video(count, seed):
    draws = np.random.default_rng(seed)
    share = np.where(draws.random(count) < 0.1, 0.0, draws.random(count) ** 2 * 1.2)
    rate = np.where(draws.random(count) < 0.05, 0.0, draws.random(count) * 60)
    return share, rate, draws.integers(1, 4000, count) * 1.0, draws.integers(1, 2200, count) * 1.0


def scores_of_audio(loss, delay):
    rating, score = evaluate(
        {"loss": loss, "delay": delay}, rating_sql("loss", "delay"), mos_sql(rating_sql("loss", "delay"))
    )
    return rating, score


def scores_of_video(*inputs):
    names = ("share", "rate", "width", "height")
    (score,) = evaluate(dict(zip(names, inputs, strict=True)), video_score_sql(*names))
    return score


def test_audio_sql_equals_python():
    loss, delay = random_audio(5_000, seed=1)
    rating, score = scores_of_audio(loss, delay)
    pairs = list(zip(loss.tolist(), delay.tolist(), strict=True))
    assert np.abs(rating - [audio_rating(*pair) for pair in pairs]).max() < EXACT
    assert np.abs(score - [audio_score(*pair) for pair in pairs]).max() < EXACT


def test_video_sql_equals_python():
    inputs = random_video(20_000, seed=2)
    rows = zip(*(column.tolist() for column in inputs), strict=True)
    assert np.abs(scores_of_video(*inputs) - [video_score(*row) for row in rows]).max() < EXACT


def test_audio_score_is_bounded_and_monotone_for_a_million_inputs():
    loss, delay = random_audio(MILLION, seed=3)
    draws = np.random.default_rng(4)
    rating, score = scores_of_audio(loss, delay)
    assert np.isfinite(rating).all()
    assert score.min() >= 1
    assert score.max() <= 4.5
    lossier = np.minimum(loss + draws.random(MILLION) ** 4, 1.0)
    slower = delay + 10 ** draws.uniform(-6, 4, MILLION)
    for more in (scores_of_audio(lossier, delay), scores_of_audio(loss, slower)):
        assert (more[0] <= rating + EXACT).all()
        assert (more[1] <= score + EXACT).all()


def test_video_score_is_bounded_and_monotone_for_a_million_inputs():
    share, rate, width, height = random_video(MILLION, seed=5)
    draws = np.random.default_rng(6)
    score = scores_of_video(share, rate, width, height)
    assert score.min() >= 1
    assert score.max() <= 4.5
    less = draws.random(MILLION)
    worse = (
        (share + less, rate, width, height),
        (share, rate * less, width, height),
        (share, rate, np.maximum(np.floor(width * less), 1), height),
        (share, rate, width, np.maximum(np.floor(height * less), 1)),
    )
    for inputs in worse:
        assert (scores_of_video(*inputs) <= score + EXACT).all()


@pytest.mark.parametrize(
    ("loss", "delay"),
    [
        (None, 1.0),
        (0.0, None),
        (-0.1, 1.0),
        (1.1, 1.0),
        (0.0, -1.0),
        (np.nan, 1.0),
        (0.0, np.nan),
        (0.0, np.inf),
    ],
)
def test_audio_sql_is_null_where_an_input_is_missing_or_impossible(loss, delay):
    with duckdb.connect() as connection:
        text = "select {0}, {1} from (select $loss::double as l, $delay::double as d)"
        rating = rating_sql("l", "d")
        row = connection.execute(
            text.format(rating, mos_sql(rating)), {"loss": loss, "delay": delay}
        ).fetchone()
    assert row == (None, None)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [None, -1.0, np.nan, np.inf])
def test_video_sql_is_null_where_an_input_is_missing_or_impossible(place, value):
    inputs = [0.0, 15.0, 640.0, 360.0]
    inputs[place] = value
    with duckdb.connect() as connection:
        text = f"select {video_score_sql('s', 'f', 'w', 'h')} from (select ?::double s, ?::double f, ?::double w, ?::double h)"
        assert connection.execute(text, inputs).fetchone() == (None,)
