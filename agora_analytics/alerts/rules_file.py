"""Reads `alerts.toml`: the webhook, the rules and the silences. No error shows a value of the webhook."""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from attrs import field, frozen

from agora_analytics.agora.enums import Product
from agora_analytics.alerts.rules import AlertRule, Silence, check_rules
from agora_analytics.alerts.webhook import Webhook, variable
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import ConfigurationError, InvalidRequest
from agora_analytics.instants import duration_seconds, epoch_seconds

SECRET = "AGORA_ALERT_SECRET"  # noqa: S105 - the name of a variable
"""The environment variable with the webhook's secret, unless `secret_env` names another one."""
_TABLES = {"webhook": dict, "alert": list, "silence": list}
_WEBHOOK = {"url": str, "url_env": str, "secret_env": str}
_NUMBER, _TIME = (int, float), (str, date)
_ALERT: Mapping[str, Any] = {
    "name": str, "metric": str, "above": _NUMBER, "below": _NUMBER, "for": str, "by": str, "only": list,
    "silence": str, "min_users": int, "product": str,
}  # fmt: skip
_SILENCE: Mapping[str, Any] = {"since": _TIME, "until": _TIME, "alerts": list}
_KINDS: Mapping[Any, str] = {
    str: "a text in quotes", int: "a whole number", _NUMBER: "a number", _TIME: "a time", list: "a list", dict: "a table",
}  # fmt: skip


@frozen(kw_only=True)
class AlertRules:
    """The contents of a file of rules.

    Attributes:
        path: the file.
        rules: the rules, in the order of the file.
        silences: the times in which alerts do not fire.
    """

    path: Path
    rules: tuple[AlertRule, ...]
    silences: tuple[Silence, ...]
    _webhook: Mapping[str, str] = field(repr=False)

    @property
    def webhook(self) -> Webhook:
        """The receiver of the events. The environment is read here, so that a backtest needs no secret.

        Raises:
            ConfigurationError: the file has no webhook, a variable is not set, or a value is wrong.
        """
        table = self._webhook
        if not table:
            raise ConfigurationError(f"{self.path} has no [webhook] with a url")
        if ("url" in table) == ("url_env" in table):
            raise ConfigurationError(f"[webhook] in {self.path} needs either url or url_env")
        url = (
            table["url"].strip()
            if "url" in table
            else variable(table["url_env"], "the URL that alerts are sent to")
        )
        secret = variable(table.get("secret_env", SECRET), "the secret that alerts are signed with")
        return Webhook(url=url, secret=secret)


def read_rules(path: str | Path) -> AlertRules:
    r"""Read a file of rules.

    Args:
        path: the file, in TOML. docs/howto/alerts.md has its keys.

    Raises:
        ConfigurationError: the file cannot be read, or is not TOML.
        InvalidRequest: a key is unknown, or a value is wrong.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "alerts.toml")
        ...     _ = path.write_text('[[alert]]\nname = "freezes"\nmetric = "video_freeze_rate"\nabove = 0.05')
        ...     read_rules(path).rules[0].condition
        'video_freeze_rate > 5 %'
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigurationError(f"cannot read the rules in {path}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigurationError(f"cannot read the rules in {path}: it is not UTF-8") from problem
    except tomllib.TOMLDecodeError as problem:
        raise ConfigurationError(f"cannot read the rules in {path}: {problem}") from problem
    _check(table, _TABLES, str(path))
    webhook = table.get("webhook", {})
    _check(webhook, _WEBHOOK, f"[webhook] in {path}")
    rules = tuple(_rule(each, f"[[alert]] {number} in {path}") for number, each in _numbered(table, "alert"))
    silences = tuple(
        _silence(each, f"[[silence]] {number} in {path}") for number, each in _numbered(table, "silence")
    )
    try:
        check_rules(rules, silences)
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}: {error}") from None
    return AlertRules(path=path, rules=rules, silences=silences, webhook=webhook)


def _numbered(table: Mapping[str, Any], name: str) -> list[tuple[int, Any]]:
    return list(enumerate(table.get(name, []), start=1))


def _check(table: Any, keys: Mapping[str, Any], place: str) -> None:
    if not isinstance(table, dict):
        raise InvalidRequest(f"{place} is not a table")
    for name, value in table.items():
        if name not in keys:
            advice = did_you_mean(name, keys) or f"; known are {', '.join(keys)}"
            raise InvalidRequest(f"{place} has the unknown key {name!r}{advice}")
        kind = keys[name]
        if name == "for" and isinstance(value, int):
            raise InvalidRequest(f'for of {place} has no unit; write "{value}s" for seconds')
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InvalidRequest(f"{name} of {place} is not {_KINDS[kind]}")
        if kind is list and name in ("only", "alerts") and not all(isinstance(each, str) for each in value):
            raise InvalidRequest(f"{name} of {place} is not a list of texts in quotes")


def _rule(table: Any, place: str) -> AlertRule:
    _check(table, _ALERT, place)
    for name in ("name", "metric"):
        if name not in table:
            raise InvalidRequest(f"{place} has no {name}")
    values = {name: value for name, value in table.items() if name not in ("for", "silence", "product")}
    try:
        if "for" in table:
            values["duration"] = _seconds(table["for"], "for")
        if "silence" in table:
            values["silence"] = _seconds(table["silence"], "silence")
        if "product" in table:
            values["product"] = _product(table["product"])
        return AlertRule(**values)
    except InvalidRequest as error:
        raise InvalidRequest(f"{place}: {error}") from None


def _seconds(text: str, name: str) -> float:
    try:
        return duration_seconds(text)
    except InvalidRequest as error:
        raise InvalidRequest(f"{name} is {error}") from None


def _product(text: str) -> Product:
    by_name = {each.value.lower(): each for each in Product}
    if text.lower() not in by_name:
        raise InvalidRequest(f"unknown product {text!r}; use one of {', '.join(by_name)}")
    return by_name[text.lower()]


def _silence(table: Any, place: str) -> Silence:
    _check(table, _SILENCE, place)
    for name in ("since", "until"):
        if name not in table:
            raise InvalidRequest(f"{place} has no {name}")
    try:
        # A silence is a fixed time, so `now` and `2h` make no sense: they would move.
        since, until = (_fixed_time(table[name], name) for name in ("since", "until"))
        return Silence(since=since, until=until, alerts=tuple(table.get("alerts", ())))
    except InvalidRequest as error:
        raise InvalidRequest(f"{place}: {error}") from None


def _fixed_time(time: str | date, name: str) -> float:
    text = time if isinstance(time, str | datetime) else time.isoformat()
    first, second = (epoch_seconds(text, now=now, name=name) for now in (0.0, 1e9))
    if first != second:
        raise InvalidRequest(f"{name}={text!r} is relative; give a fixed time, such as 2026-12-24T18:00Z")
    return first
