"""The configuration file `agora-analytics.toml`: accounts by name, of any vendor, and defaults.

A secret is never in the file. The file names an environment variable (`customer_secret_env`) or another file
(`customer_secret_file`) that holds it. No error shows a value of the file, because a secret may be there by mistake.
"""

import os
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from agora_analytics.core.spelling import did_you_mean
from agora_analytics.engine.open_ledger import MEMORY
from agora_analytics.errors import ConfigurationError, InvalidRequest
from agora_analytics.instants import duration_seconds, epoch_seconds
from agora_analytics.logs import LEVELS

FILE = "agora-analytics.toml"
CONFIG, ACCOUNT = "AGORA_CONFIG", "AGORA_ACCOUNT"
"""The environment variables that name the file and the account."""

_LONGEST_NAME = 100  # it is the name of a queue too, and logged in one line
_ENV, _FILE = "_env", "_file"
_TOP = {"ledger": str, "queue": str, "log": str, "store": str, "defaults": dict, "account": list}
_CLIENT = {"base_url": str, "allow_http": bool, "prefetch": int, "keep_raw": bool, "validate": bool}
_CUSTOMER = {"customer_id": str, "app_id": str, "region": str, **_CLIENT}
_HARVEST = {"store": str, "since": str, "every": str}
_TYPES: Mapping[type, str] = {
    str: "a text in quotes",
    bool: "true or false",
    int: "a whole number",
    dict: "a table",
    list: "[[account]]",
    tuple: "a list of texts in quotes",
}


@frozen
class _VendorKeys:
    """The keys of an account of one vendor: settings with their types, secrets, and what a harvest needs."""

    settings: Mapping[str, type]
    secrets: tuple[str, ...]
    harvest: Mapping[str, type] = {}

    @property
    def references(self) -> tuple[str, ...]:
        """The texts that the file may name by a variable or another file."""
        return (*self.secrets, *(name for name, kind in self.settings.items() if kind is str))

    @property
    def names(self) -> tuple[str, ...]:
        """All keys."""
        forms = (name + end for name in self.references for end in (_ENV, _FILE))
        return (*self.settings, *self.harvest, *forms)


VENDORS: Mapping[str, _VendorKeys] = {
    "agora": _VendorKeys(
        {**_CUSTOMER, "account": str, "plan": str, "regional_hosts": bool, "shared_budget": bool},
        ("customer_secret",),
        {**_HARVEST, "insights": tuple, "reserve": int, "value": str},
    ),
    "agora-beta": _VendorKeys({**_CUSTOMER, "account": str}, ("customer_secret",)),
    "signaling": _VendorKeys({**_CUSTOMER, "user_id": str}, ("customer_secret", "token")),
    "opentok": _VendorKeys(
        {"api_key": str, "application_id": str, **_CLIENT},
        ("api_secret", "private_key"),
        _HARVEST,
    ),
    "apsaravideo": _VendorKeys(
        {"access_key_id": str, "app_id": str, "account": str, **_CLIENT},
        ("access_key_secret", "security_token"),
        _HARVEST,
    ),
}
"""The keys of an account by vendor."""
_SECRETS = frozenset(secret for keys in VENDORS.values() for secret in keys.secrets)


@frozen
class HarvestSettings:
    """What the file says about the harvest of an account.

    Attributes:
        store: the folder of the store as an absolute path, or its URL; None: the file names none.
        since: the start of the time range, such as `2d`.
        every: seconds between two passes.
        insights: metrics of Data Insights to store.
        reserve: requests of each daily quota that are left to others.
        value: what a call is worth if the daily quota does not suffice.
    """

    store: str | None = None
    since: str | None = None
    every: float | None = None
    insights: tuple[str, ...] = ()
    reserve: int = 0
    value: str = "calls"


@frozen
class Account:
    """An account of the file. Its repr has no values, because one may be a secret by mistake."""

    name: str
    vendor: str
    file: Path
    harvest: HarvestSettings = field(repr=False)
    _table: Mapping[str, Any] = field(repr=False)

    @property
    def can_be_harvested(self) -> bool:
        """Whether there is a harvest of the vendor."""
        return bool(VENDORS[self.vendor].harvest)

    def __str__(self) -> str:
        return f"account {self.name!r} in {self.file}"

    def settings(self, without: Container[str] = ()) -> dict[str, Any]:
        """Return the settings, with the secrets from where the file says they are.

        Args:
            without: settings that are not read. `credentials` stands for all secrets.

        Raises:
            ConfigurationError: a variable is not set, or a file cannot be read.
        """
        keys = VENDORS[self.vendor]
        secrets = () if "credentials" in without else keys.secrets
        names = [name for name in (*keys.settings, *secrets) if name not in without]
        found = {
            name: self.text(name) if name in keys.references else self._table.get(name) for name in names
        }
        return {name: value for name, value in found.items() if value is not None}

    def text(self, name: str) -> str | None:
        """Return a setting from the file, from a variable or from another file; None: the account has none."""
        if variable := self._table.get(name + _ENV):
            if value := os.environ.get(variable):
                return value
            raise ConfigurationError(f"{self}: {name}{_ENV} names a variable that is not set")
        if path := self._table.get(name + _FILE):
            try:
                text = _path_in(self.file, path).read_text("utf-8-sig").rstrip("\r\n")
            except (OSError, UnicodeDecodeError, ValueError, RuntimeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text, or its path is not one"
                raise ConfigurationError(
                    f"{self}: {name}{_FILE} names a file that cannot be read: {reason}"
                ) from None
            if text:
                return text
            raise ConfigurationError(f"{self}: {name}{_FILE} names an empty file")
        found = self._table.get(name)
        return None if found is None else str(found)

    def require(self, found: Mapping[str, Any], *names: str) -> None:
        """Check that settings are there.

        Raises:
            ConfigurationError: one is missing or empty.
        """
        for name in names:
            if not found.get(name):
                key = f"{name}{_ENV} or {name}{_FILE}" if name in _SECRETS else name
                raise ConfigurationError(f"{name} is missing; add {key} to the account")


@frozen
class Config:
    """A configuration file that was read and checked.

    Attributes:
        file: its path.
        ledger: `memory`, or the path of a ledger's file; None: the default one.
        log: the level of the log if `AGORA_LOG` is not set; None: no log.
        accounts: by name.
        queue: the connection string of the queue of a fleet; None: the file names none.
    """

    file: Path
    ledger: str | None
    log: str | None
    accounts: Mapping[str, Account]
    queue: str | None = None

    def account(self, name: str | None, *, vendor: str) -> Account:
        """Return the account that a name or `AGORA_ACCOUNT` names.

        Raises:
            ConfigurationError: there is none of that name and vendor.
        """
        account = self.named(name)
        if account.vendor != vendor:
            raise ConfigurationError(f"{account} is of vendor {account.vendor!r}, and {vendor!r} is needed")
        return account

    def named(self, name: str | None) -> Account:
        """Return the account that a name or `AGORA_ACCOUNT` names, of any vendor.

        Raises:
            ConfigurationError: there is none of that name.
        """
        name = name or os.environ.get(ACCOUNT)
        names = ", ".join(self.accounts) or "none"
        if not name:
            raise ConfigurationError(
                f"no account is named; pass its name or set {ACCOUNT}; the accounts in {self.file}: {names}"
            )
        if name not in self.accounts:
            close = did_you_mean(name, self.accounts) or f"; its accounts: {names}"
            raise ConfigurationError(f"no account {name!r} in {self.file}{close}")
        return self.accounts[name]


def read_config(path: str | os.PathLike[str] | Config | None = None) -> Config:
    """Read and check a configuration file.

    Args:
        path: the file; None: `AGORA_CONFIG`, or else `agora-analytics.toml` in the working directory or in the user's
            configuration folder. A file that was read is returned as it is.

    Raises:
        ConfigurationError: there is no such file, or it is not valid. The message shows no values.
    """
    if isinstance(path, Config):
        return path
    import tomllib

    file = _find(path or os.environ.get(CONFIG))
    try:
        content = tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"the configuration file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the configuration file {file} is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = str(error).rpartition("(")[2].rstrip(")")  # the rest may repeat what the file has
        raise ConfigurationError(
            f"the configuration file {file} is not valid TOML {place}".rstrip()
        ) from None
    return _checked(file, content)


def default_file() -> Path | None:
    """Return the configuration file in the working directory, or in the user's configuration folder; None: there is none."""
    return next((place for place in _default_places() if place.is_file()), None)


def _default_places() -> list[Path]:
    import platformdirs

    folders = Path.cwd(), platformdirs.user_config_path("agora-analytics", appauthor=False)
    return [folder / FILE for folder in folders]


def _find(named: str | os.PathLike[str] | None) -> Path:
    if named:
        try:
            return Path(named).expanduser().absolute()
        except RuntimeError:
            raise ConfigurationError(
                f"the configuration file {named} is in a home folder that is unknown"
            ) from None
    if found := default_file():
        return found
    raise ConfigurationError(
        f"no configuration file found; set {CONFIG}, or create {' or '.join(map(str, _default_places()))}"
    )


def _checked(file: Path, content: Mapping[str, Any]) -> Config:
    _check_keys(str(file), content, _TOP)
    defaults = content.get("defaults", {})
    every = {name: kind for keys in VENDORS.values() for name, kind in _kinds(keys).items()}
    _check_keys(f"[defaults] in {file}", defaults, {"vendor": str, **every})
    if store := content.get("store"):
        defaults = {"store": store, **defaults}
    accounts: dict[str, Account] = {}
    for number, table in enumerate(content.get("account", ()), 1):
        if not isinstance(table, dict):
            raise ConfigurationError(f"{file}: account must be [[account]]")
        account = _account(file, number, defaults, table)
        if account.name in accounts:
            raise ConfigurationError(f"{file}: there are two accounts {account.name!r}; rename one")
        accounts[account.name] = account
    log = content.get("log")
    if log is not None and log not in LEVELS:
        raise ConfigurationError(f"{file}: log must be one of {', '.join(LEVELS)}{did_you_mean(log, LEVELS)}")
    for name, instead in (("ledger", "AGORA_LEDGER"), ("queue", "AGORA_QUEUE")):
        if _has_password(content.get(name, "")):
            raise ConfigurationError(f"{file}: {name} has a password; name the server in {instead} instead")
    ledger = content.get("ledger", "").strip()
    if ledger and ledger.lower() != MEMORY and "://" not in ledger:
        ledger = str(_path_in(file, ledger))
    return Config(file, ledger or None, log, accounts, content.get("queue"))


def _account(file: Path, number: int, defaults: Mapping[str, Any], table: Mapping[str, Any]) -> Account:
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f'{file}: [[account]] number {number} has no name; add name = "..."')
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ConfigurationError(
            f"{file}: the name of [[account]] number {number} must be printable and at most {_LONGEST_NAME} characters long"
        )
    place = f"account {name!r} in {file}"
    vendor = table.get("vendor", defaults.get("vendor"))
    if not isinstance(vendor, str) or vendor not in VENDORS:
        close = did_you_mean(vendor, VENDORS) if isinstance(vendor, str) else ""
        raise ConfigurationError(f"{place}: vendor must be one of {', '.join(VENDORS)}{close}")
    keys = VENDORS[vendor]
    _check_keys(place, table, {"name": str, "vendor": str, **_kinds(keys)})
    merged = {key: value for key, value in table.items() if key not in ("name", "vendor")}
    own = {_setting(key) for key in merged}
    merged |= {
        key: value for key, value in defaults.items() if key in keys.names and _setting(key) not in own
    }
    found = {key: merged.pop(key) for key in keys.harvest if key in merged}
    return Account(name, vendor, file, _harvest_settings(file, place, found), merged)


def _harvest_settings(file: Path, place: str, found: Mapping[str, Any]) -> HarvestSettings:
    given = dict(found)
    for name, check in (("since", lambda text: epoch_seconds(text, now=0)), ("every", duration_seconds)):
        try:
            seconds = check(given[name]) if name in given else None
        except InvalidRequest:  # its message may show the value
            example = '"2d" or "2026-11-20"' if name == "since" else '"30m" or "1d"'
            raise ConfigurationError(f"{place}: {name} must be a time such as {example}") from None
        if name == "every":
            given[name] = seconds
    if (store := given.get("store")) and "://" not in store:
        given["store"] = str(_path_in(file, store).absolute())
    return HarvestSettings(**given | {"insights": tuple(given.get("insights", ()))})


def _kinds(keys: _VendorKeys) -> dict[str, type]:
    return {name: {**keys.settings, **keys.harvest}.get(name, str) for name in keys.names}


def _is(value: Any, kind: type) -> bool:
    if kind is tuple:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    # `True` is an `int` for Python.
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _setting(key: str) -> str:
    return key.removesuffix(_ENV).removesuffix(_FILE)


def _check_keys(place: str, table: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Check the names and types of keys. No message shows a value."""
    for key, value in table.items():
        if key in _SECRETS and key not in kinds:
            raise ConfigurationError(
                f'{place}: {key} must not be in the file; write {key}_env = "VARIABLE" or {key}_file = "PATH"'
            )
        if key not in kinds:
            raise ConfigurationError(f"{place}: unknown key {key!r}{did_you_mean(key, kinds)}")
        if not _is(value, kinds[key]):
            raise ConfigurationError(f"{place}: {key} must be {_TYPES[kinds[key]]}")
    for name in {_setting(key) for key in table}:
        forms = [form for form in (name, name + _ENV, name + _FILE) if form in table]
        if len(forms) > 1:
            raise ConfigurationError(f"{place}: {' and '.join(forms)} exclude each other; keep one")


def _has_password(server: str) -> bool:
    """Return whether the URL of a server, or a connection string of PostgreSQL, has a password."""
    user, at, _ = server.partition("://")[2].rpartition("@")
    return bool(at and ":" in user) or re.search(r"\bpassword\s*=", server) is not None


def _path_in(file: Path, path: str) -> Path:
    """Return a path of the file; a relative one is relative to its folder."""
    return file.parent / Path(path).expanduser()
