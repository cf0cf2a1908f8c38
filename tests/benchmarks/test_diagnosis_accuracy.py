"""The diagnosis is right for most planted calls. docs/diagnosis-accuracy.md has the figures of 1,000 other calls."""

import pytest

from agora_analytics.insight.diagnosis.diagnose_samples import diagnose_samples
from benchmarks._planted_tables import planted_tables

pytestmark = pytest.mark.slow
SEEDS = range(20_000, 20_080)


@pytest.fixture(scope="module")
def diagnosed():
    return [
        (each.planted, diagnose_samples(each.sessions, each.metrics, each.planted.uid))
        for each in planted_tables(SEEDS)
    ]


def share(pairs):
    found = list(pairs)
    return sum(found) / len(found)


def test_side_and_cause_are_right_where_there_is_one_clear_cause(diagnosed):
    clear = [
        (diagnosis.side, diagnosis.cause) == planted.answer[:2]
        for planted, diagnosis in diagnosed
        if planted.kind == "single" and planted.is_clear
    ]
    assert len(clear) > 25
    assert share(clear) > 0.8


def test_healthy_calls_have_no_cause(diagnosed):
    assert (
        share(
            diagnosis.cause == "none"
            for planted, diagnosis in diagnosed
            if planted.kind in ("healthy", "elsewhere")
        )
        > 0.93
    )


def test_nobody_is_accused_without_a_fault(diagnosed):
    faulty = {planted.seed: {each.uid for each in planted.impairments} | {None} for planted, _ in diagnosed}
    assert share(diagnosis.party in faulty[planted.seed] for planted, diagnosis in diagnosed) > 0.95


def test_a_call_without_samples_of_the_user_is_unknown(diagnosed):
    silent = [diagnosis for planted, diagnosis in diagnosed if planted.kind == "no_data"]
    assert silent
    assert all(diagnosis.side == "unknown" and diagnosis.confidence == 0 for diagnosis in silent)


def test_every_diagnosis_is_consistent(diagnosed):
    for planted, diagnosis in diagnosed:
        assert (diagnosis.party is None) == (diagnosis.side in ("server", "none", "unknown"))
        assert (diagnosis.party == planted.uid) == (diagnosis.side == "receiver")
        assert (diagnosis.since is None) == (diagnosis.side in ("none", "unknown"))
        assert 0 <= diagnosis.confidence <= 1
