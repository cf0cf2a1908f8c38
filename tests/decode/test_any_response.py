"""Property tests: for generated and damaged responses, all readers agree with the reference decoder."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agora_analytics.decode import available, chunks, decode_with
from agora_analytics.errors import DecodeError
from tests.decode.reference import WRONG, expected, rows

WORDS = st.text(max_size=6)
SECONDS = st.integers(1_000_000_000, 4_102_444_800)
VALUES = st.one_of(
    st.just(9e299),
    st.integers(0, 999),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
    st.integers(),
)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), WORDS, st.just([]), st.just({})
)
UNKNOWN = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
)

POINT = st.tuples(SECONDS, VALUES)
TIDY = st.lists(POINT, max_size=6)
RAGGED = st.lists(
    st.recursive(SECONDS | st.integers(0, 99), lambda inner: st.lists(inner, max_size=4)), max_size=4
)


def series(kvs):
    return st.fixed_dictionaries(
        {"mid": st.integers(1, 2**31 - 1), "kvs": kvs},
        optional={"peer_uid": st.one_of(st.integers(), WORDS, st.none()), "note": UNKNOWN},
    )


def responses(any_series):
    session = st.fixed_dictionaries(
        {"sid": WORDS, "data": st.lists(any_series, max_size=4)}, optional={"x": UNKNOWN}
    )
    return st.builds(
        lambda head, metrics, tail: head | {"metrics": metrics} | tail,
        st.dictionaries(WORDS.filter("metrics".__ne__), UNKNOWN, max_size=2),
        st.lists(session, max_size=4),
        st.dictionaries(WORDS.filter("metrics".__ne__), UNKNOWN, max_size=2),
    )


def encoded(response, compact, ascii_only):
    text = json.dumps(response, separators=(",", ":") if compact else None, ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(chunks, "PIECE", 40)
    if "arrow" in available():
        monkeypatch.setattr("agora_analytics.decode.arrow_reader.SMALL_BODY", 0)
        monkeypatch.setattr("agora_analytics.decode.arrow_reader.BATCH", 60)


def assert_agrees(reader, body):
    wanted = expected(body)
    try:
        columns = decode_with(reader, body)
    except DecodeError:
        assert wanted == WRONG
    else:
        assert (list(columns.sids), rows(columns), [each.path for each in columns.skipped]) == wanted


bounded = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("reader", available())
@bounded
@given(response=responses(series(TIDY)), compact=st.booleans(), ascii_only=st.booleans())
def test_readers_agree_on_documented_responses(reader, response, compact, ascii_only):
    assert_agrees(reader, encoded(response, compact, ascii_only))


@pytest.mark.parametrize("reader", available())
@bounded
@given(response=responses(series(st.one_of(TIDY, RAGGED, RAGGED.map(lambda points: points * 2)))))
def test_readers_agree_on_ragged_points(reader, response):
    assert_agrees(reader, encoded(response, compact=True, ascii_only=True))


@pytest.mark.parametrize("reader", available())
@bounded
@given(
    response=responses(series(st.lists(st.tuples(SECONDS, st.integers(0, 99)), max_size=5))),
    changes=st.lists(
        st.tuples(st.integers(0), st.sampled_from(b'[[[]]],,,{}":01.-eE nul\\\xff\n'), st.sampled_from("rdi")),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
def test_readers_agree_on_damaged_responses(reader, response, changes):
    body = bytearray(encoded(response, compact=True, ascii_only=True))
    for position, byte, change in changes:
        start = position % (len(body) + 1)
        body[start : start + (change != "i")] = b"" if change == "d" else bytes([byte])
    assert_agrees(reader, bytes(body))


@pytest.mark.parametrize("reader", available())
def test_every_truncation_is_refused(reader):
    body = (
        b'{"metrics":[{"sid":"A","data":[{"mid":1,"kvs":[[1548670255,2],[1548670257,null]],"peer_uid":0}]}]}'
    )
    for end in range(len(body)):
        with pytest.raises(DecodeError):
            decode_with(reader, body[:end])


@pytest.mark.parametrize("reader", available())
def test_readers_agree_on_every_moved_bracket(reader):
    kvs = b"[[1548670255,2],[1548670257,3],[1548670259,4]]"
    for source in range(len(kvs)):
        if kvs[source] in b"[]":
            rest = kvs[:source] + kvs[source + 1 :]
            for target in range(len(rest) + 1):
                moved = rest[:target] + kvs[source : source + 1] + rest[target:]
                assert_agrees(
                    reader, b'{"metrics":[{"sid":"A","data":[{"mid":1,"kvs":%b,"peer_uid":0}]}]}' % moved
                )
