"""Values of one event loop of one process."""

import asyncio
import gc
import os

from agora_analytics.engine.network.per_loop import PerLoop


async def test_value_is_created_once_in_a_loop():
    values = PerLoop(object)
    assert values.get() is values.get()
    assert values.is_current(values.get())
    assert not values.is_current(object())


def test_loops_have_values_of_their_own():
    values = PerLoop(object)

    async def get():
        return values.get()

    assert asyncio.run(get()) is not asyncio.run(get())


async def test_removed_value_is_created_again():
    values = PerLoop(object)
    assert values.pop() is None
    first = values.get()
    assert values.pop() is first
    assert values.get() is not first


async def test_forked_process_has_a_value_of_its_own(monkeypatch):
    values = PerLoop(object)
    first = values.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert values.get() is not first


def test_value_ends_with_its_loop():
    created = []

    class Value:
        def __del__(self):
            created.append("deleted")

    values = PerLoop(Value)

    async def get():
        values.get()

    asyncio.run(get())
    gc.collect()
    assert created == ["deleted"]
