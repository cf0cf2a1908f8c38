import pytest

from agora_analytics.insight import report
from agora_analytics.store import open_store
from tests.insight.report.report_calls import SINCE, UNTIL, harvested, random_calls
from tests.insight.stored_calls import store_calls


@pytest.fixture(scope="session")
def world_store(tmp_path_factory):
    """A harvested world in which users of 4G lose much of what is sent to them."""
    return harvested(tmp_path_factory.mktemp("world") / "store", network="4G")


@pytest.fixture(scope="session")
def planted_store(tmp_path_factory):
    """Calls of two channels over four days; in the last two, one SDK version freezes four times as often."""
    store = open_store(tmp_path_factory.mktemp("planted") / "store", create=True, durable=False)
    length = UNTIL - SINCE
    store_calls(store, random_calls(calls=60, seed=1, since=SINCE - length, until=SINCE))
    store_calls(store, random_calls(calls=60, seed=2, worse="4.6.0"))
    store_calls(store, random_calls(calls=30, seed=3, channel="other"))
    store.writer.compact(closed_before="2027-01-01")
    return store


@pytest.fixture(scope="session")
def planted(planted_store):
    return report(planted_store, since=SINCE, until=UNTIL)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store", create=True, durable=False)
