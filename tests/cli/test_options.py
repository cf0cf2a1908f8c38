import doctest
import inspect
from typing import Annotated

import pytest
import typer
from attrs import frozen

from agora_analytics.cli import options
from agora_analytics.cli.accounts import AgoraAccount, ApsaraVideoAccount, OpenTokAccount
from agora_analytics.cli.options import option_groups
from agora_analytics.errors import InvalidRequest, RateLimited


@frozen(kw_only=True)
class Interval:
    start: Annotated[int, typer.Option(help="Start.")]
    end: Annotated[int, typer.Option(help="End.")] = 9

    def __attrs_post_init__(self):
        if self.start > self.end:
            raise InvalidRequest("--start must not be after --end")


@option_groups
def length(unit: str = "s", *, interval: Interval) -> str:
    """Return the length of an interval."""
    return f"{interval.end - interval.start} {unit}"


def test_option_group_becomes_one_option_for_each_field():
    parameters = inspect.signature(length).parameters
    assert list(parameters) == ["unit", "start", "end"]
    assert parameters["start"].default is inspect.Parameter.empty
    assert parameters["end"].default == 9
    assert parameters["end"].annotation.__metadata__[0].help == "End."
    assert length.__doc__ == "Return the length of an interval."


def test_option_group_is_passed_as_one_argument_and_validated():
    assert length(start=2, unit="m") == "7 m"
    with pytest.raises(InvalidRequest, match="must not be after"):
        length(start=2, end=1)


def test_example_in_the_docstring():
    assert doctest.testmod(options).failed == 0


# ---- how long a request may take

ACCOUNTS = {
    AgoraAccount: lambda client: client.calls("2h", "1h").collect(),
    OpenTokAccount: lambda client: client.session_summaries("2h", "1h").collect(),
    ApsaraVideoAccount: lambda client: client.interaction_metrics("VideoStuckRate", "2h").collect(),
}


@pytest.fixture
def credentials(monkeypatch, tmp_path):
    values = {
        "AGORA_LEDGER": tmp_path / "ledger",
        "AGORA_CUSTOMER_ID": "id",
        "AGORA_CUSTOMER_SECRET": "secret",
        "AGORA_APP_ID": "app",
        "OPENTOK_API_KEY": "1",
        "OPENTOK_API_SECRET": "a-secret-of-at-least-32-characters",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret",
        "APSARAVIDEO_APP_ID": "app",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("limit", [{"deadline": 5.0}, {"max_wait": 0.5}], ids=["deadline", "max_wait"])
@pytest.mark.parametrize("account", ACCOUNTS)
async def test_request_that_would_wait_longer_fails_at_once(account, limit):
    """The server has refused requests for ten minutes."""
    async with account(base_url="http://127.0.0.1:9", **limit).client() as client:
        engine = client._engine
        for name in engine._limits:
            await engine._ledger.hold(engine._budget(name), engine.clock.monotonic() + 600)
        with pytest.raises(RateLimited, match="later than the call may wait"):
            await ACCOUNTS[account](client)
        assert not engine.sent


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    "limit", [{"deadline": 0.0}, {"max_wait": -1.0}, {"max_wait": float("nan")}], ids=str
)
@pytest.mark.parametrize("account", ACCOUNTS)
def test_limit_that_is_not_a_number_of_seconds_is_refused(account, limit):
    with pytest.raises(InvalidRequest, match=next(iter(limit))):
        account(**limit).client()
