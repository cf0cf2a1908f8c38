"""Resume tokens: a token fits its own question only, and any change of it is noticed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.core.resume_tokens import ResumeTokens, as_asked
from agora_analytics.errors import InvalidRequest

TOKENS = ResumeTokens(
    "call/lists", (("appid", "app"), ("cname", "room")), ("now-21600", "now+0"), page_size=20
)
POSITION = [(1_795_000_000, 1_795_080_000, 3)]
KIND = list[tuple[int, int, int]]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(
    st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(), st.integers())),
    st.none() | st.integers(1, 100),
)
def test_token_returns_its_position(position, page_size):
    position = [(a, b % 2**40, c % 2**40) for a, b, c in position]
    tokens = ResumeTokens("call/lists", "app", page_size=page_size)
    token = tokens.write(position)
    assert tokens.read(token, KIND) == position
    assert set(token) <= set(ALPHABET)


def test_token_of_the_last_page_has_no_position():
    assert TOKENS.read("", KIND) is None


@pytest.mark.parametrize(
    "other",
    [
        ResumeTokens(
            "call/sessions", (("appid", "app"), ("cname", "room")), ("now-21600", "now+0"), page_size=20
        ),
        ResumeTokens(
            "call/lists", (("appid", "other"), ("cname", "room")), ("now-21600", "now+0"), page_size=20
        ),
        ResumeTokens("call/lists", (("appid", "app"),), ("now-21600", "now+0"), page_size=20),
        ResumeTokens(
            "call/lists", (("appid", "app"), ("cname", "room")), ("now-3600", "now+0"), page_size=20
        ),
        ResumeTokens(
            "call/lists", (("appid", "app"), ("cname", "half \ud800")), ("now-21600", "now+0"), page_size=20
        ),
    ],
)
def test_token_of_another_question_is_refused(other):
    with pytest.raises(InvalidRequest, match="of another listing; pass the same arguments"):
        other.read(TOKENS.write(POSITION), KIND)


def test_token_names_its_page_size():
    other = ResumeTokens(
        "call/lists", (("appid", "app"), ("cname", "room")), ("now-21600", "now+0"), page_size=100
    )
    with pytest.raises(InvalidRequest, match="page_size=20, not 100; pass page_size=20"):
        other.read(TOKENS.write(POSITION), KIND)


def test_every_changed_character_is_noticed():
    token = TOKENS.write(POSITION)
    changed = {token[:i] + other + token[i + 1 :] for i in range(len(token)) for other in "Aa0_*"} - {token}
    changed |= {token[:i] for i in range(1, len(token))} | {
        f"{token}A",
        f"{token}=",
        f" {token}",
        f"{token}\n",
    }
    for text in changed:
        with pytest.raises(InvalidRequest, match="not a resume token"):
            TOKENS.read(text, KIND)


@given(st.text(min_size=1) | st.text(ALPHABET, min_size=1))
def test_other_texts_are_not_tokens(text):
    with pytest.raises(InvalidRequest, match="not a resume token"):
        TOKENS.read(text, KIND)


@pytest.mark.parametrize("value", [5, b"token"])
def test_other_types_are_not_tokens(value):
    with pytest.raises(InvalidRequest, match="not a resume token"):
        TOKENS.read(value, KIND)


def test_token_with_a_position_of_another_form_is_refused():
    with pytest.raises(InvalidRequest, match="not a resume token"):
        TOKENS.read(TOKENS.write("a cursor"), KIND)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("6h", "360m"),
        ("now", "0s"),
        ("2026-11-20T08:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        (1_795_161_600, "2026-11-20T09:00+01:00"),
        (1_795_161_600_000, 1_795_161_600_000.0),  # milliseconds, which validate=False lets through
    ],
)
def test_times_of_the_same_meaning_are_the_same_question(one, other):
    assert as_asked(one) == as_asked(other)


def test_relative_time_is_not_the_time_that_it_means_now():
    assert as_asked("6h") not in (as_asked("now"), as_asked(-21_600), as_asked(None))
