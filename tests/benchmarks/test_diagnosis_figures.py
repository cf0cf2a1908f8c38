"""The figures of a diagnosis: intervals, shares and the confusion table."""

import pytest
from attrs import evolve

from benchmarks._diagnosis_figures import (
    NONE,
    UNKNOWN,
    Judged,
    Said,
    Share,
    confidence_table,
    confusion,
    confusion_table,
    figures,
    markdown,
    wilson,
)

LOSS, CPU, SERVER = ("sender", "uplink_loss"), ("receiver", "cpu"), ("server", "server_loss")


def judged(
    kind, right, said, *, party=None, named=None, noticed=None, at_fault=(), is_clear=True, is_mild=False
):
    if noticed is None:
        noticed = () if right in (NONE, UNKNOWN) else (right,)
    return Judged(
        seed=0, kind=kind, right=right, party=party, noticed=frozenset(noticed), at_fault=frozenset(at_fault),
        is_clear=is_clear, is_mild=is_mild, said=Said(said, named, said not in (NONE, UNKNOWN)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (0, 100, 0.0, 0.0370),
        (100, 100, 0.9630, 1.0),
        (50, 100, 0.4038, 0.5962),
        (95, 100, 0.8882, 0.9785),
        (1, 10, 0.0179, 0.4042),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_interval_is_the_published_one(count, of, low, high):
    """Compared with the tables of Wilson score intervals of 95 %, without a continuity correction."""
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-4)


def test_wilson_interval_contains_the_share():
    assert all(
        low <= count / of <= high
        for of in (1, 2, 7, 100)
        for count in range(of + 1)
        for low, high in (wilson(count, of),)
    )


def test_share_without_calls_has_no_percentage():
    assert str(Share(0, 0)) == "-"
    assert str(Share(95, 100)) == "95.0% (88.8-97.8)"


def test_clear_single_causes_are_right_by_side_and_cause():
    calls = [
        judged("single", LOSS, LOSS, party="2", named="2", at_fault="2"),
        judged("single", LOSS, ("receiver", "uplink_loss"), party="2", named="1", at_fault="2"),
        judged("single", LOSS, ("sender", "cpu"), party="2", named="2", at_fault="2"),
        judged("single", LOSS, LOSS, party="2", named="3", at_fault="2"),
        judged("single", LOSS, LOSS, party="2", named="2", at_fault="2", is_clear=False),
    ]
    found = figures(calls)
    assert found["one clear cause: side and cause right"] == Share(2, 4)
    assert found["one clear cause: side right"] == Share(3, 4)
    assert found["one clear cause: side, cause and party right"] == Share(1, 4)
    assert found["one cause that no metric shows: right"] == Share(1, 1)


def test_participant_without_an_impairment_is_clean():
    calls = [
        judged("single", LOSS, CPU, party="2", named="1", at_fault="2"),
        judged("single", LOSS, ("sender", "cpu"), party="2", named="2", at_fault="2"),
        judged("single", SERVER, LOSS, named="2"),
        judged("healthy", NONE, LOSS, named="2"),
        judged("elsewhere", NONE, LOSS, named="3", at_fault="3"),
        judged("elsewhere", NONE, NONE, at_fault="3"),
    ]
    found = figures(calls)
    assert found["all calls: a clean participant accused"] == Share(3, 6)
    assert found["healthy for the user: anybody accused"] == Share(2, 3)
    assert found['healthy for the user: "none"'] == Share(1, 3)


def test_mild_calls_are_not_healthy_ones():
    mild = judged("single", NONE, LOSS, named="2", at_fault="2", is_clear=False, is_mild=True, noticed=())
    found = figures([mild])
    assert found['mild cause: "none"'] == Share(0, 1)
    assert found["mild cause: a clean participant accused"] == Share(0, 1)
    assert found['healthy for the user: "none"'].of == 0
    assert found["one clear cause: side and cause right"].of == 0
    assert confusion([mild])[NONE] == {LOSS: 1}


def test_either_of_two_noticed_causes_is_right():
    both = {"noticed": (LOSS, CPU), "is_clear": False}
    calls = [judged("overlapping", LOSS, said, **both) for said in (LOSS, CPU, SERVER)]
    assert figures(calls)["two causes: one of them named"] == Share(2, 3)


def test_calls_without_samples_are_right_as_unknown():
    calls = [judged("no_data", UNKNOWN, said) for said in (UNKNOWN, NONE)]
    assert figures(calls)['no samples of the user: "unknown"'] == Share(1, 2)


def test_detection_does_not_need_the_right_cause():
    calls = [
        judged("single", LOSS, CPU, named="1"),
        judged("healthy", NONE, CPU),
        judged("healthy", NONE, NONE),
    ]
    found = figures(calls)
    assert found["noticed cause: any cause named"] == Share(1, 1)
    assert found["noticed cause: any issue reported"] == Share(1, 1)
    assert found["healthy for the user: any issue reported"] == Share(1, 2)


def test_confusion_table_counts_what_was_said_instead():
    calls = [
        judged("single", LOSS, LOSS),
        judged("single", LOSS, CPU),
        judged("single", LOSS, CPU),
        judged("overlapping", LOSS, CPU, is_clear=False),
        judged("single", CPU, NONE, is_clear=False),
    ]
    assert confusion(calls) == {LOSS: {LOSS: 1, CPU: 2}}
    assert confusion_table(calls).splitlines()[2] == "| sender uplink_loss | 3 | 1 | receiver cpu 2 |"


def test_markdown_table_has_a_header_line():
    assert markdown(["a", "b"], [[1, "x"]]).splitlines() == ["| a | b |", "| --- | --- |", "| 1 | x |"]


def test_confidence_is_compared_with_the_answers_of_its_tenth():
    def sure(confidence, right, said):
        each = judged("single", right, said)
        return evolve(each, said=evolve(each.said, confidence=confidence))

    calls = [sure(1.0, LOSS, LOSS), sure(0.95, CPU, LOSS), sure(0.95, NONE, NONE), sure(0.2, LOSS, NONE)]
    calls += [sure(0.0, UNKNOWN, UNKNOWN), judged("single", CPU, CPU)]  # without a confidence: not counted
    lines = confidence_table(calls).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 0.2 to 0.3", "| 0.9 to 1.0"]
    low, high = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:])
    assert (low[1], low[2][:4], low[3:]) == ("-", "0.0%", ["0", "1"])
    assert (high[1][:5], high[2][:6], high[3:]) == ("50.0%", "100.0%", ["2", "1"])
