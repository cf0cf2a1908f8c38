"""The configuration file: accounts of every vendor, secrets from elsewhere, precedence, and messages without values."""

import logging
import os
import pickle

import pytest

from agora_analytics import (
    AsyncAgora,
    AsyncAgoraBeta,
    AsyncApsaraVideo,
    AsyncOpenTok,
    AsyncSignaling,
    MemoryLedger,
    ProjectKey,
    Region,
    blocking,
)
from agora_analytics.agora.credentials import Basic
from agora_analytics.apsaravideo import Credentials
from agora_analytics.errors import ConfigurationError
from agora_analytics.kit.config_file import FILE, VENDORS, HarvestSettings, read_config
from agora_analytics.opentok import Application
from agora_analytics.signaling import Token

SECRET = "S3CR3Tvalue"
EVERY = """
ledger = "counts/day.sqlite3"

[defaults]
plan = "enterprise"
region = "cn"

[[account]]
name = "acme"
vendor = "agora"
app_id = "app"
customer_id = "acme-id"
customer_secret_env = "ACME_SECRET"
base_url = "https://proxy.example"
prefetch = 7

[[account]]
name = "old"
vendor = "agora-beta"
app_id = "app"
customer_id_env = "ACME_ID"
customer_secret_file = "secrets/acme"

[[account]]
name = "chat"
vendor = "signaling"
app_id = "app"
customer_id = "acme-id"
customer_secret_env = "ACME_SECRET"

[[account]]
name = "chat-token"
vendor = "signaling"
app_id = "app"
user_id = "ann"
token_file = "secrets/token"

[[account]]
name = "rooms"
vendor = "opentok"
api_key = "45000001"
api_secret_file = "secrets/acme"

[[account]]
name = "application"
vendor = "opentok"
application_id = "78d335fa-323d-0114-9c3d-d6f0d48968cf"
private_key_file = "secrets/key.pem"

[[account]]
name = "live"
vendor = "apsaravideo"
app_id = "app"
account = "us"
access_key_id = "key-id"
access_key_secret_env = "ACME_SECRET"
security_token_env = "ACME_SECRET"
"""
KINDS = {
    "acme": AsyncAgora,
    "old": AsyncAgoraBeta,
    "chat": AsyncSignaling,
    "chat-token": AsyncSignaling,
    "rooms": AsyncOpenTok,
    "application": AsyncOpenTok,
    "live": AsyncApsaraVideo,
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes the file and the files and variables of its secrets."""
    (tmp_path / "secrets").mkdir()
    for name, text in (
        ("acme", f"{SECRET}\n"),
        ("empty", "\n"),
        ("token", "t-1\r\n"),
        ("key.pem", "-----BEGIN KEY-----\nx\n"),
    ):
        (tmp_path / "secrets" / name).write_bytes(text.encode())
    monkeypatch.setenv("ACME_SECRET", SECRET)
    monkeypatch.setenv("ACME_ID", "acme-id")
    monkeypatch.delenv("AGORA_LEDGER")

    def write(text=EVERY):
        path = tmp_path / FILE
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def every(write):
    return write()


def entry(*lines, vendor="agora"):
    required = {
        "agora": ('app_id = "app"', 'customer_id = "acme-id"', 'customer_secret_env = "ACME_SECRET"'),
        "opentok": ('api_key = "45000001"', 'api_secret_env = "ACME_SECRET"'),
    }
    return "\n".join(("[[account]]", 'name = "acme"', f'vendor = "{vendor}"', *required[vendor], *lines))


def refused(path, name="acme", kind=AsyncAgora, **options):
    with pytest.raises(ConfigurationError) as caught:
        kind.from_config(name, path, **options)
    message = str(caught.value)
    assert SECRET not in f"{caught.value!r} {message} {caught.value.__cause__!r}"
    assert SECRET.encode() not in pickle.dumps(caught.value)
    assert str(path) in message
    return message


async def test_accounts_of_every_vendor(every, tmp_path):
    found = {name: kind.from_config(name, every) for name, kind in KINDS.items()}
    credentials = {name: client.credentials for name, client in found.items() if name != "live"}
    token = credentials.pop("chat-token")
    assert credentials == {
        "acme": Basic("acme-id", SECRET),
        "old": Basic("acme-id", SECRET),
        "chat": Basic("acme-id", SECRET),
        "rooms": ProjectKey("45000001", SECRET),
        "application": Application("78d335fa-323d-0114-9c3d-d6f0d48968cf", "-----BEGIN KEY-----\nx"),
    }
    assert isinstance(token, Token)
    assert (token.user_id, token.headers()) == ("ann", {"authorization": "agora token=t-1"})
    assert await found["live"]._credentials() == Credentials("key-id", SECRET, security_token=SECRET)
    settings = found["acme"].settings
    assert (settings.app_id, settings.plan.name, settings.region) == ("app", "enterprise", Region.CN)
    assert (settings.base_url, found["acme"]._options.prefetch) == ("https://proxy.example", 7)
    assert {client._ledger.path for client in found.values()} == {tmp_path / "counts/day.sqlite3"}
    for client in found.values():
        assert SECRET not in f"{client!r} {vars(client)!r}"
        await client.aclose()


@pytest.mark.parametrize("name", KINDS)
def test_blocking_clients_read_the_file_too(name, every):
    kind = getattr(blocking, KINDS[name].__name__.removeprefix("Async"))
    with kind.from_config(name, every) as client:
        assert type(client) is kind


def test_renewed_token_file_is_read_again(every, tmp_path):
    client = AsyncSignaling.from_config("chat-token", every)
    (tmp_path / "secrets/token").write_text("t-2")
    assert client.credentials.headers() == {"authorization": "agora token=t-2"}


def test_keyword_takes_precedence_over_environment_and_file(every, tmp_path, monkeypatch):
    def ledger(**options):
        client = AsyncAgora.from_config("acme", every, **options)
        return (
            getattr(client._ledger, "path", client._ledger),
            client.settings.base_url,
            client.settings.region,
        )

    mine = MemoryLedger()
    assert ledger() == (tmp_path / "counts/day.sqlite3", "https://proxy.example", Region.CN)
    monkeypatch.setenv("AGORA_LEDGER", str(tmp_path / "env.db"))
    monkeypatch.setenv("AGORA_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AGORA_REGION", "global")
    assert ledger() == (tmp_path / "env.db", "http://127.0.0.1:9", Region.GLOBAL)
    assert ledger(ledger=mine, base_url="http://127.0.0.1:8", region="cn") == (
        mine,
        "http://127.0.0.1:8",
        Region.CN,
    )


def test_variables_that_describe_another_account_are_not_read(every, monkeypatch):
    for name in ("CUSTOMER_ID", "CUSTOMER_SECRET", "APP_ID", "PLAN"):
        monkeypatch.setenv(f"AGORA_{name}", "another")
    client = AsyncAgora.from_config("acme", every)
    assert client.credentials == Basic("acme-id", SECRET)
    assert (client.settings.app_id, client.settings.plan.name) == ("app", "enterprise")


def test_keywords_replace_settings_and_their_secrets_are_not_read(every, monkeypatch):
    monkeypatch.delenv("ACME_SECRET")
    client = AsyncAgora.from_config(
        "acme", every, customer_secret="k", app_id="b", plan="standard", prefetch=2
    )
    assert client.credentials == Basic("acme-id", "k")
    assert (client.settings.app_id, client.settings.plan.name, client._options.prefetch) == (
        "b",
        "standard",
        2,
    )
    assert AsyncAgora.from_config("acme", every, credentials=Basic("i", "k")).credentials == Basic("i", "k")
    live = AsyncApsaraVideo.from_config("live", every, credentials=Credentials("i", "k"))
    assert live.app_id == "app"


def test_file_and_account_from_the_environment(every, monkeypatch, tmp_path):
    monkeypatch.setenv("AGORA_ACCOUNT", "acme")
    monkeypatch.setenv("AGORA_CONFIG", str(every))
    assert AsyncAgora.from_config().settings.app_id == "app"
    assert AsyncOpenTok.from_config("rooms").project_id == "45000001"
    monkeypatch.setenv("AGORA_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigurationError, match=r"none.toml cannot be read: No such file"):
        AsyncAgora.from_config()


def test_file_in_the_working_directory_comes_before_that_of_the_user(every, monkeypatch, tmp_path):
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert read_config().file == every
    (elsewhere / FILE).write_text(entry())
    assert read_config().file == elsewhere / FILE
    assert list(read_config().accounts) == ["acme"]


def test_without_a_file_the_error_names_the_places(monkeypatch, tmp_path):
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "user")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        AsyncAgora.from_config("acme")
    for words in ("AGORA_CONFIG", str(tmp_path / FILE), str(tmp_path / "user" / FILE)):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("key", "instead"),
    [("customer_secret", "customer_secret_env"), ("api_secret", "api_secret_file"), ("token", "token_env")],
)
@pytest.mark.parametrize("place", ["account", "defaults"])
def test_literal_secret_is_refused_without_showing_it(key, instead, place, write):
    line = f'{key} = "{SECRET}"'
    text = entry(line) if place == "account" else f"[defaults]\n{line}\n{entry()}"
    message = refused(write(text))
    assert f"{key} must not be in the file" in message
    assert instead in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (entry('plann = "x"'), ("account 'acme'", "'plann'", "did you mean 'plan'?")),
        (entry(f'custmer_secret = "{SECRET}"'), ("account 'acme'", "did you mean 'customer_secret_")),
        (
            entry(f'custmer_secret_env = "{SECRET}"'),
            ("account 'acme'", "did you mean 'customer_secret_env'?"),
        ),
        (entry('api_key = "1"'), ("account 'acme'", "'api_key'")),
        (f'ledgr = "x"\n{entry()}', ("'ledgr'", "did you mean 'ledger'?")),
        (f'[default]\nplan = "premium"\n{entry()}', ("'default'", "did you mean 'defaults'?")),
        (f'[defaults]\nregon = "cn"\n{entry()}', ("[defaults]", "did you mean 'region'?")),
        (entry('plan = "enterprize"'), ("account 'acme'", "did you mean 'enterprise'?")),
        (entry('region = "chn"'), ("account 'acme'", "choose one of global, cn")),
        (entry("plan = 3"), ("account 'acme'", "plan must be a text in quotes")),
        (entry("prefetch = true"), ("account 'acme'", "prefetch must be a whole number")),
        (entry("prefetch = 0"), ("account 'acme'", "prefetch must be at least 1")),
        (entry('validate = "no"'), ("account 'acme'", "validate must be true or false")),
        (entry('base_url = "http://10.0.0.1"'), ("account 'acme'", "allow_http=True")),
        (entry('customer_id_env = "ACME_ID"'), ("account 'acme'", "exclude each other")),
        (
            entry().replace('"agora"', '"agra"'),
            ("account 'acme'", "vendor must be one of", "did you mean 'agora'?"),
        ),
        (entry().replace('vendor = "agora"', ""), ("account 'acme'", "vendor must be one of")),
        (entry().replace('name = "acme"', ""), ("number 1 has no name",)),
        (entry() + "\n" + entry(), ("two accounts 'acme'",)),
        (
            entry().replace('app_id = "app"', ""),
            ("account 'acme'", "app_id is missing; add app_id to the account"),
        ),
        (entry().replace('customer_secret_env = "ACME_SECRET"', ""), ("add customer_secret_env or",)),
        (
            entry().replace('"ACME_SECRET"', f'"{SECRET}"'),
            ("account 'acme'", "customer_secret_env names a variable"),
        ),
        (
            entry().replace('_env = "ACME_SECRET"', f'_file = "{SECRET}"'),
            ("account 'acme'", "customer_secret_file names a file that cannot be read: No such file"),
        ),
        (entry().replace('_env = "ACME_SECRET"', '_file = "."'), ("cannot be read: Is a directory",)),
        (entry().replace('_env = "ACME_SECRET"', '_file = "secrets/empty"'), ("names an empty file",)),
        ('account = "acme"', ("account must be [[account]]",)),
        ("account = [1]", ("account must be [[account]]",)),
        ('[[account]]\nname = "two\\nlines"', ("the name of [[account]] number 1 must be printable",)),
        (f'[[account]]\nname = "{"x" * 101}"', ("at most 100 characters",)),
        (f'queue = "postgresql://worker:hidden@h/d"\n{entry()}', ("queue has a password", "AGORA_QUEUE")),
        (f'ledger = "redis://:hidden@h"\n{entry()}', ("ledger has a password", "AGORA_LEDGER")),
        (f'queue = "host=h password = hidden"\n{entry()}', ("queue has a password",)),
        (f'log = "inof"\n{entry()}', ("log must be one of", "did you mean 'info'?")),
        ("defaults = 1", ("defaults must be a table",)),
        (f'ledger = "mysql://u:{SECRET}@host/db"\n{entry()}', ("ledger has a password",)),
        (f'ledger = "mysql://host/db"\n{entry()}', ("names a URL",)),
        (
            f'[[account]]\nname = "acme"\ncustomer_secret = "{SECRET}',
            ("is not valid TOML at end of document",),
        ),
        (f"[[account]]\ncustomer_secret = {SECRET}", ("is not valid TOML at line 2",)),
        ("a = " + "[" * 9000 + "]" * 9000, ("is not valid TOML",)),
        (f"[{SECRET}]\n[{SECRET}]", ("is not valid TOML at line 2",)),
    ],
)
def test_error_names_file_and_account_and_no_value(text, words, write):
    message = refused(write(text))
    for each in words:
        assert each in message
    assert "AGORA_APP_ID" not in message  # a named account does not read it


@pytest.mark.parametrize("name", ["acm", "other", None])
def test_unknown_account_names_the_known_ones(name, every):
    message = refused(every, name)
    assert {"acm": "did you mean 'acme'?", "other": "acme, old, chat", None: "AGORA_ACCOUNT"}[name] in message


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("kind", dict.fromkeys(KINDS.values()), ids=lambda kind: kind.__name__)
def test_account_of_another_vendor_is_refused(name, kind, every):
    if kind is not KINDS[name]:
        assert "is of vendor" in refused(every, name, kind)


def test_file_that_is_not_text(tmp_path):
    path = tmp_path / FILE
    path.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in refused(path)
    path.unlink()
    path.mkdir()
    assert "cannot be read: Is a directory" in refused(path)


def test_file_of_a_secret_may_be_in_the_home_folder(write, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = write(entry().replace('_env = "ACME_SECRET"', '_file = "~/secrets/acme"'))
    assert AsyncAgora.from_config("acme", path).credentials == Basic("acme-id", SECRET)


def test_byte_order_mark_is_not_a_part_of_the_text(write, tmp_path):
    """Editors of Windows write one."""
    path = write("\ufeff" + entry().replace('_env = "ACME_SECRET"', '_file = "secrets/marked"'))
    (tmp_path / "secrets" / "marked").write_text(f"\ufeff{SECRET}", "utf-8")
    assert AsyncAgora.from_config("acme", path).credentials == Basic("acme-id", SECRET)


def test_entry_replaces_the_default_in_any_form(write):
    text = '[defaults]\nvendor = "agora"\ncustomer_id = "shared"\ncustomer_secret_env = "NONE"\napi_secret_env = "X"\n'
    from_file = entry().replace('_env = "ACME_SECRET"', '_file = "secrets/acme"')
    for account, defaults in ((from_file, text), (entry(), text.replace('_env = "NONE"', '_file = "none"'))):
        client = AsyncAgora.from_config("acme", write(defaults + account))
        assert client.credentials == Basic("acme-id", SECRET)
    short = '[[account]]\nname = "acme"\napp_id = "app"\ncustomer_secret_env = "ACME_SECRET"'
    assert AsyncAgora.from_config("acme", write(text + short)).credentials == Basic("shared", SECRET)


@pytest.mark.parametrize(("variable", "level"), [("", logging.INFO), ("debug", logging.DEBUG)])
def test_environment_overrides_the_log_of_the_file(variable, level, write, monkeypatch):
    path = write(f'log = "info"\n{entry()}')
    monkeypatch.setenv("AGORA_LOG", variable)
    AsyncAgora.from_config("acme", path)
    assert logging.getLogger("agora_analytics.harvest").getEffectiveLevel() == level
    assert os.environ["AGORA_LOG"] == variable  # a child process has a file of its own


@pytest.mark.parametrize("name", ["memory", "MEMORY", " memory "])
def test_ledger_of_the_file_may_be_memory(name, write):
    client = AsyncAgora.from_config("acme", write(f'ledger = "{name}"\n{entry()}'))
    assert type(client._ledger) is MemoryLedger


@pytest.mark.parametrize(
    "server", ["postgresql://worker@h:5432/d", "redis://h:6379/0", "host=h user=w", "a:b@c.sqlite3"]
)
def test_server_without_a_password_is_accepted(server, write):
    config = read_config(write(f'queue = "{server}"\n{entry()}'))
    assert config.queue == server


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_key_is_an_option_of_its_client(vendor):
    """A key that no client takes would be an error at the first use only."""
    import inspect

    from agora_analytics.kit.client import ClientOptions

    kind = {"agora": AsyncAgora, "agora-beta": AsyncAgoraBeta, "signaling": AsyncSignaling,
            "opentok": AsyncOpenTok, "apsaravideo": AsyncApsaraVideo}[vendor]  # fmt: skip
    in_credentials = {"signaling": {"customer_id", "customer_secret", "token", "user_id"},
                      "opentok": {"api_key", "api_secret", "application_id", "private_key"}}  # fmt: skip
    taken = set(inspect.signature(kind).parameters) | set(ClientOptions.__annotations__)
    keys = VENDORS[vendor]
    assert {*keys.settings, *keys.secrets} - taken == in_credentials.get(vendor, set())


def test_harvest_settings_of_the_file_the_defaults_and_the_account(write, tmp_path):
    path = write(
        'store = "calls.store"\n[defaults]\nsince = "2d"\nreserve = 100\n'
        + entry('every = "30m"', 'insights = ["joinSuccessRate"]', 'value = "users"', "reserve = 0")
        + "\n"
        + entry('store = "s3://bucket/rooms"', 'since = "2026-11-20"', vendor="opentok").replace(
            "acme", "rooms"
        )
    )
    accounts = read_config(path).accounts
    assert accounts["acme"].harvest == HarvestSettings(
        store=str(tmp_path / "calls.store"),
        since="2d",
        every=1800.0,
        insights=("joinSuccessRate",),
        reserve=0,
        value="users",
    )
    assert accounts["rooms"].harvest == HarvestSettings(store="s3://bucket/rooms", since="2026-11-20")
    AsyncAgora.from_config("acme", path)  # they are not settings of a client


def test_only_vendors_with_a_harvest_have_its_settings(every):
    accounts = read_config(every).accounts
    assert [name for name, account in accounts.items() if not account.can_be_harvested] == [
        "old", "chat", "chat-token"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f'since = "{SECRET}"', 'since must be a time such as "2d" or "2026-11-20"'),
        (f'every = "{SECRET}"', 'every must be a time such as "30m" or "1d"'),
        ('every = "0m"', 'every must be a time such as "30m" or "1d"'),
        (f'insights = "{SECRET}"', "insights must be a list of texts in quotes"),
        (f'insights = ["{SECRET}", 1]', "insights must be a list of texts in quotes"),
        ("reserve = true", "reserve must be a whole number"),
        ('since_env = "SINCE"', "unknown key 'since_env'"),
    ],
)
def test_harvest_setting_that_cannot_be_used(write, line, message):
    assert message in refused(write(entry(line)))
