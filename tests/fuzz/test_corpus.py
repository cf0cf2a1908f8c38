"""What the fuzzers found, and a few fixed seeds of each conversation. `python -m tests.fuzz.responses` has new ones."""

import pytest

from tests.conftest import slow
from tests.fuzz import responses, store
from tests.fuzz.conversations import CONVERSATIONS

BY_NAME = {conversation.name: conversation for conversation in CONVERSATIONS}


@pytest.mark.parametrize("name", BY_NAME)
def test_damaged_responses_are_read_or_raise_a_typed_error(name):
    outcomes = [
        responses.check(BY_NAME[name], f"corpus/{number}")
        for number in range(3 if name == "opentok samples" else 8)
    ]
    assert "read" in outcomes


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("agora usage", "101/804"),  # an integer above 2^53 in a column of rates
        ("agora calls", "404/189"),  # repeated and unreadable records
        ("apsaravideo points", "404/62"),
        ("signaling messages", "404/392"),  # an integer of 400 digits in place of a message
        ("beta details", "404/11"),  # a point with a time beyond 64 bits
    ],
)
def test_responses_of_the_corpus(name, seed):
    responses.check(BY_NAME[name], seed)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folders = {scenario: tmp_path_factory.mktemp("store") / "store" for scenario in store.SCENARIOS}
    for scenario, folder in folders.items():
        scenario.fill(folder)
    return folders


@pytest.mark.parametrize(
    ("scenario", "seed"),
    [
        (store.HALF_A_DAY, "101/26"),  # a row cut, two others flipped
        slow(store.HALF_A_DAY, "101/29"),  # units and a lock file missing
        slow(store.HALF_A_DAY, "101/74"),  # the format file flipped
        (store.HALF_A_DAY, "101/336"),  # a footer whose times have lost their type
        slow(store.HALF_A_DAY, "202/84"),  # a row that names a table that does not exist
        slow(store.HALF_A_DAY, "202/280"),  # a footer that pyarrow reads and DuckDB does not
        (store.INTERRUPTED, "corpus/0"),
        *(slow(store.INTERRUPTED, f"corpus/{number}") for number in range(1, 4)),
    ],
)
def test_damaged_store_is_whole_after_the_next_run(originals, tmp_path, scenario, seed):
    """Or after the one after that, if the first run or an error names the damage."""
    outcome, history = store.check(scenario, originals[scenario], tmp_path, seed)
    assert outcome in {"whole", "healed"}, history
