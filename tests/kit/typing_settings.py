"""What type checkers must see of the constructors of all clients. `warn_unused_ignores` proves the refusals."""

import os
from typing import assert_type

from agora_analytics import (
    PLANS,
    AsyncAgora,
    AsyncAgoraBeta,
    AsyncApsaraVideo,
    AsyncOpenTok,
    AsyncSignaling,
    Region,
    blocking,
)
from agora_analytics.agora.credentials import Basic


async def renewed() -> Basic:
    return Basic("an-id", "a-secret")


def right() -> None:
    assert_type(AsyncAgora.from_env(plan="enterprise", region="cn", shared_budget=True), AsyncAgora)
    assert_type(AsyncAgora.from_config("acme", "file.toml", plan="premium", prefetch=2), AsyncAgora)
    assert_type(AsyncAgora.from_env(plan=PLANS[os.environ["PLAN"]], region=Region("cn")), AsyncAgora)
    assert_type(AsyncAgora(credentials=renewed, app_id="app", account="us"), AsyncAgora)
    assert_type(AsyncAgora(credentials=Basic("an-id", "a-secret"), app_id="app"), AsyncAgora)
    assert_type(AsyncAgoraBeta.from_config(credentials=renewed), AsyncAgoraBeta)
    assert_type(AsyncSignaling.from_config("chat", credentials=renewed), AsyncSignaling)
    assert_type(AsyncOpenTok.from_config("rooms", prefetch=2), AsyncOpenTok)
    assert_type(AsyncApsaraVideo.from_config("live", account="us"), AsyncApsaraVideo)
    assert_type(blocking.Agora.from_env(plan="enterprise"), blocking.Agora)
    assert_type(blocking.Agora.from_config("acme", plan="premium"), blocking.Agora)
    assert_type(blocking.AgoraBeta.from_config("acme"), blocking.AgoraBeta)
    assert_type(blocking.Signaling.from_config("acme"), blocking.Signaling)
    assert_type(blocking.OpenTok.from_config("acme"), blocking.OpenTok)
    assert_type(blocking.ApsaraVideo.from_config("acme"), blocking.ApsaraVideo)


def misspelt_keywords() -> None:
    AsyncAgora.from_env(pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncAgora.from_config("acme", pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncAgora("an-id", "s", app_id="a", pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncAgoraBeta.from_env(regoin="cn")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncAgoraBeta.from_config(regoin="cn")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncSignaling.from_env(plan="premium")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncSignaling.from_config(plan="premium")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncOpenTok.from_env(api_kee="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncOpenTok.from_config(api_kee="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncApsaraVideo.from_env(app="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncApsaraVideo.from_config(app="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.Agora.from_env(pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.Agora.from_config("acme", pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.AgoraBeta.from_env(pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.Signaling.from_env(pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.OpenTok.from_env(pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.ApsaraVideo.from_env(pln=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def wrong_values() -> None:
    AsyncAgora.from_env(plan="enterprize")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncAgora.from_config("acme", plan="enterprize")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncAgora("an-id", "s", app_id="a", plan="enterprize")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncAgora.from_env(region="china")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncAgoraBeta.from_env(region="china")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncSignaling.from_env(region="china")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncAgora(credentials=("an-id", "s"), app_id="a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncOpenTok.from_env(prefetch="4")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncApsaraVideo.from_env(ledger="file")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    blocking.Agora.from_env(plan="enterprize")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    blocking.Agora.from_config("acme", plan="enterprize")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
