"""Settings: from keywords and the environment, checked before anything is sent, and silent about secrets."""

import pytest
from attrs import evolve

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.credentials import Basic
from agora_analytics.agora.plans import ENTERPRISE, PLANS, STANDARD
from agora_analytics.agora.settings import Region, Settings
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.errors import ConfigurationError

SECRET = "s3cr3t-of-the-customer"
ENVIRONMENT = {
    "AGORA_CUSTOMER_ID": "env-id",
    "AGORA_CUSTOMER_SECRET": SECRET,
    "AGORA_APP_ID": "env-app",
    "AGORA_PLAN": "premium",
    "AGORA_REGION": "cn",
    "AGORA_BASE_URL": "http://127.0.0.1:9000/",
}


def settings(**more):
    return Settings(**({"app_id": "app"} | more))


def test_the_environment_names_everything():
    client = AsyncAgora.from_env(ENVIRONMENT)
    found = client.settings
    assert client.credentials == Basic("env-id", SECRET)
    assert found.app_id == "env-app"
    assert (found.plan, found.region, found.hosts) == (
        PLANS["premium"],
        Region.CN,
        ("http://127.0.0.1:9000",),
    )


def test_the_environment_of_the_process_is_the_default(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert AsyncAgora.from_env().settings == AsyncAgora.from_env(ENVIRONMENT).settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app_id", "k"),
        ("region", Region.GLOBAL),
        ("plan", ENTERPRISE),
    ],
)
def test_keywords_take_precedence_over_the_environment(name, value):
    assert getattr(AsyncAgora.from_env(ENVIRONMENT, **{name: value}).settings, name) == value


def test_keyword_credentials_replace_those_of_the_environment():
    assert AsyncAgora.from_env(ENVIRONMENT, customer_secret="k").credentials == Basic("env-id", "k")
    assert AsyncAgora.from_env(ENVIRONMENT, credentials=Basic("i", "k")).credentials == Basic("i", "k")


def test_keyword_none_uses_the_environment():
    assert AsyncAgora.from_env(ENVIRONMENT, app_id=None, plan=None).settings.app_id == "env-app"


@pytest.mark.parametrize("name", ["customer_id", "customer_secret", "app_id"])
def test_missing_setting_names_its_keyword_and_variable(name):
    variable = f"AGORA_{name.upper()}"
    with pytest.raises(ConfigurationError, match=f"{name} is missing; pass {name}= or set {variable}"):
        AsyncAgora.from_env({key: value for key, value in ENVIRONMENT.items() if key != variable})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("plan", "starter", "choose one of standard, premium, enterprise"),
        ("plan", "", "unknown plan"),
        ("region", "mars", "choose one of global, cn"),
        ("base_url", "api.agora.io", "is not a base URL"),
        ("base_url", "ftp://api.agora.io", "is not a base URL"),
        ("base_url", "https://", "is not a base URL"),
        ("base_url", "https://[::1", "is not a base URL"),
        ("base_url", "https://api.agora.io:port", "is not a base URL"),
        ("base_url", "https://api.agora.io/?x=1", "is not a base URL"),
        ("base_url", "https://api.agora.io/a\nb", "is not a base URL"),
        ("base_url", "https://api.agora.io/\x00", "is not a base URL"),
        ("base_url", "https://api agora.io", "is not a base URL"),
        ("base_url", "https://.agora.io", "is not a base URL"),
        ("base_url", "https://" + "a" * 70 + ".io", "is not a base URL"),
        ("base_url", "http://api.agora.io", "unencrypted; use https"),
        ("base_url", "http://10.0.0.1:8080", "unencrypted; use https"),
        ("base_url", "http://localhost.evil.example", "unencrypted; use https"),
    ],
)
def test_unusable_setting_is_an_error_of_one_line(name, value, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        settings(**{name: value})
    assert "\n" not in str(caught.value)


def test_space_around_a_base_url_is_left_out():
    assert settings(base_url=" https://api.example.com/\n").hosts == ("https://api.example.com",)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80", "http://localhost:8080", "http://[::1]:80", "http://127.8.8.8"]
)
def test_plain_http_goes_to_this_machine_only(url):
    assert settings(base_url=url).hosts == (url,)


@pytest.mark.parametrize(
    "url",
    [
        f"https://customer:{SECRET}@api.agora.io",
        f"http://{SECRET}@api.agora.io",
        f"customer:{SECRET}@api.agora.io",
        f"//customer:{SECRET}@api.agora.io",
        f"https://customer:{SECRET}@[::1",
    ],
)
def test_credentials_in_a_base_url_are_refused_without_showing_them(url):
    with pytest.raises(ConfigurationError, match="contains credentials") as caught:
        settings(base_url=url)
    assert SECRET not in f"{caught.value!r} {caught.value.__context__!r}"


@pytest.mark.parametrize(
    ("region", "first"), [("global", "https://api.agora.io"), (" CN ", "https://api.sd-rtn.com")]
)
def test_the_region_decides_which_host_is_preferred(region, first):
    hosts = settings(region=region).hosts
    assert hosts[0] == first
    assert len(hosts) == 2


def test_a_plan_of_your_own_is_taken_as_it_is():
    mine = evolve(STANDARD, name="contract")
    assert settings(plan=mine).plan is mine


def test_nothing_secret_is_in_a_repr():
    client = AsyncAgora("customer-7-long-id", SECRET, app_id="app")
    shown = f"{client!r} {client} {client.settings!r} {client.settings} {client._engine!r} {vars(client)}"
    assert SECRET not in shown
    assert "customer-7-long-id" not in shown
    assert "'***'" in shown


def test_prefetch_below_one_is_refused():
    with pytest.raises(ConfigurationError, match="prefetch must be at least 1, got 0"):
        AsyncAgora("id", "secret", app_id="app", prefetch=0)


async def test_the_ledger_that_the_environment_names_is_opened_when_used_and_closed(tmp_path):
    path = tmp_path / "deep" / "day.db"
    client = AsyncAgora.from_env(ENVIRONMENT | {"AGORA_LEDGER": str(path)})
    assert not path.parent.exists()
    await client.quota()
    assert path.exists()
    assert client._own_ledger._file._opened
    await client.aclose()
    assert client._own_ledger._file._opened is None


async def test_ledger_keyword_takes_precedence_over_the_environment(tmp_path):
    path = tmp_path / "day.db"
    mine = MemoryLedger()
    async with AsyncAgora.from_env(ENVIRONMENT | {"AGORA_LEDGER": str(path)}, ledger=mine) as client:
        assert client._engine._ledger is mine
    assert not path.exists()


def test_a_ledger_that_cannot_be_opened_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="AGORA_LEDGER"):
        AsyncAgora.from_env(ENVIRONMENT | {"AGORA_LEDGER": str(tmp_path)})
