"""Many accounts in one process: the trouble of one does not hold up the others, over a real socket."""

import asyncio
import time

import pytest

from agora_analytics import (
    AccountBegun,
    AccountReport,
    ConfigurationError,
    HttpxTransport,
    InvalidRequest,
    MemoryLedger,
    RetryPolicy,
    SharedResources,
    harvest_account,
    harvest_accounts,
)
from agora_analytics.errors import AuthenticationError, TransportError
from agora_analytics.simulator import serve_in_thread
from agora_analytics.store import open_store
from tests.fleet.harness import (
    agora_entry,
    apsaravideo_entry,
    make_fleet,
    opentok_entry,
    rows,
    spend_day,
    truth,
    write_config,
)

HEALTHY = ("acme", "beta", "city")
QUICK = RetryPolicy(attempts=2, backoff=(0.01,))


@pytest.fixture
def served():
    fleet = make_fleet((*HEALTHY, "spent", "wrong", "dead", "bare"), int(time.time()) - 7200)
    with serve_in_thread(fleet.simulator) as url:
        yield fleet, url


def config_with_trouble(folder, url):
    return write_config(
        folder,
        url,
        agora_entry("acme"),
        agora_entry("wrong", 'customer_secret_env = "FLEET_WRONG_SECRET"'),
        agora_entry("dead", 'base_url = "http://127.0.0.1:1"'),
        opentok_entry("rooms"),
        agora_entry("spent"),
        agora_entry("bare", 'customer_secret_env = "FLEET_NO_SUCH_VARIABLE"'),
        agora_entry("beta"),
        apsaravideo_entry("live"),
        agora_entry("city", 'store = "other.store"'),
        agora_entry("chat").replace('vendor = "agora"', 'vendor = "signaling"'),
    )


def test_healthy_accounts_are_complete_whatever_the_others_meet(served, secrets, tmp_path, caplog):
    fleet, url = served
    config, ledger, events = config_with_trouble(tmp_path, url), MemoryLedger(), []

    async def all_at_once():
        await spend_day(config, "spent", ledger)
        return await harvest_accounts(
            config=config,
            ledger=ledger,
            retry=QUICK,
            observer=lambda name, event: events.append((name, event)),
        )

    reports = asyncio.run(all_at_once())
    assert list(reports) == ["acme", "wrong", "dead", "rooms", "spent", "bare", "beta", "live", "city"]
    errors = {name: report.error for name, report in reports.items() if report.error}
    kinds = {"wrong": AuthenticationError, "dead": TransportError, "bare": ConfigurationError}
    assert errors.keys() == kinds.keys()
    assert all(isinstance(errors[name], kind) for name, kind in kinds.items())
    assert "FLEET_NO_SUCH_VARIABLE" not in str(errors["bare"])
    assert [name for name, report in reports.items() if report.complete] == [
        "acme",
        "rooms",
        "beta",
        "live",
        "city",
    ]
    assert reports["spent"].retry_at > time.time()
    assert reports["spent"].report.listing_left

    shared, own = open_store(tmp_path / "calls.store"), open_store(tmp_path / "other.store")
    expected = {name: truth(fleet.worlds[name], time.time()) for name in HEALTHY}
    assert rows(shared) == {f"app-{name}": expected[name] for name in ("acme", "beta")}
    assert rows(own) == {"app-city": expected["city"]}
    assert shared.counts()["points"] == reports["rooms"].report.points + reports["live"].report.points > 0
    assert set(fleet.refused) == {"Invalid authentication credentials"}, (
        "the wrong credentials, and nothing else"
    )

    errors_logged = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert {text.split(": ")[0] for text in errors_logged} == {
        "account wrong",
        "account dead",
        "account bare",
    }

    begun = [name for name, event in events if isinstance(event, AccountBegun)]
    ended = [name for name, event in events if isinstance(event, AccountReport)]
    assert sorted(begun) == sorted(ended) == sorted(reports)


def test_second_run_sends_the_few_requests_that_find_nothing_new(served, secrets, tmp_path):
    """The first run uses httpx, the second one the default, which is aiohttp where it is installed."""
    fleet, url = served
    config = write_config(tmp_path, url, *map(agora_entry, HEALTHY))

    async def with_httpx():
        async with SharedResources(transport=HttpxTransport()) as shared:
            return await harvest_accounts(config=config, resources=shared)

    first = asyncio.run(with_httpx())
    again = asyncio.run(harvest_accounts(HEALTHY[:2], config))
    assert list(again) == list(HEALTHY[:2])
    for name, report in again.items():
        assert report.report.calls == 0
        assert report.report.known_before == first[name].report.calls == len(fleet.worlds[name].calls)


def test_pass_over_one_account_raises_its_error(served, secrets, tmp_path):
    _, url = served
    config = config_with_trouble(tmp_path, url)

    async def one(name):
        return await harvest_account(name, config, since="1d", store=tmp_path / "own", retry=QUICK)

    report = asyncio.run(one("acme"))
    assert (report.account, report.vendor, report.store) == ("acme", "agora", str(tmp_path / "own"))
    assert report.complete
    for name, kind in (
        ("wrong", AuthenticationError),
        ("bare", ConfigurationError),
        ("chat", ConfigurationError),
    ):
        with pytest.raises(kind):
            asyncio.run(one(name))
    with pytest.raises(ConfigurationError, match="no account 'acne'"):
        asyncio.run(one("acne"))


@pytest.mark.parametrize("missing", ["store", "since"])
def test_account_without_a_setting_names_it(served, secrets, tmp_path, missing):
    _, url = served
    config = write_config(tmp_path, url, agora_entry("acme"))
    config.write_text(
        "\n".join(line for line in config.read_text().splitlines() if not line.startswith(missing))
    )
    (report,) = asyncio.run(harvest_accounts(config=config)).values()
    assert f"account 'acme' in {config} has no {missing}; add {missing} = " in str(report.error)


def test_wrong_arguments_are_refused_before_any_pass(served, secrets, tmp_path):
    _, url = served
    config = write_config(tmp_path, url, agora_entry("acme"))
    with pytest.raises(ConfigurationError, match="no account 'other'"):
        asyncio.run(harvest_accounts(["acme", "other"], config))
    with pytest.raises(InvalidRequest, match="max_concurrent=0"):
        asyncio.run(harvest_accounts(config=config, max_concurrent=0))
    assert not (tmp_path / "calls.store").exists()


def test_cancelled_harvest_ends_all_accounts_and_the_next_run_continues(served, secrets, tmp_path):
    fleet, url = served
    config = write_config(tmp_path, url, *map(agora_entry, HEALTHY))

    async def interrupted():
        stored = asyncio.Event()
        running = asyncio.create_task(
            harvest_accounts(
                config=config, observer=lambda _, event: type(event).__name__ == "CallStored" and stored.set()
            )
        )
        await stored.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(interrupted()) == []
    asyncio.run(harvest_accounts(config=config))
    expected = {f"app-{name}": truth(fleet.worlds[name], time.time()) for name in HEALTHY}
    assert rows(open_store(tmp_path / "calls.store")) == expected
