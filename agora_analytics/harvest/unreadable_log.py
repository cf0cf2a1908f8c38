"""Reports each record that cannot be read once, and remembers it in the store for later runs."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from attrs import define, field

from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.store.harvest_writer import HarvestWriter
from agora_analytics.store.layout import encode_id
from agora_analytics.store.records import Unreadable


@define
class UnreadableLog:
    """The records that this run and earlier ones could not read.

    Attributes:
        before: the number of records that earlier runs reported.
    """

    _store: HarvestWriter
    _app_id: str
    _emit: Callable[[Unreadable], None]
    _remembered: dict[str, tuple[Unreadable, ...]] = field(factory=dict)
    before: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.before = sum(map(len, self._remembered.values()))

    @classmethod
    async def open(cls, store: HarvestWriter, app_id: str, emit: Callable[[Unreadable], None]) -> Self:
        """Read what earlier runs could not read."""
        return cls(store, app_id, emit, await asyncio.to_thread(store.unreadable, app_id))

    def of(self, prefix: str) -> list[Unreadable]:
        """Return the remembered records of the units whose name begins with a text."""
        records = (record for records in self._remembered.values() for record in records)
        return [record for record in records if record.unit.startswith(prefix)]

    async def note(self, unit: str, skipped: Iterable[SkippedRecord], *, resume: str = "") -> None:
        """Remember the records of a unit that were left out, and report those that are new."""
        await self._add(
            unit,
            [
                Unreadable(unit=unit, record=record.key or record.path, reason=record.reason, resume=resume)
                for record in skipped
            ],
        )

    async def note_unit(self, unit: str, reason: str) -> None:
        """Remember that nothing of a unit can be read, and report it if that is new."""
        await self._add(unit, [Unreadable(unit=unit, record=unit, reason=reason)])

    async def resolve(self, unit: str, *, whole: bool = True) -> None:
        """Forget that a unit could not be read; `whole`: only that nothing of it could."""
        known = self._remembered.get(encode_id(unit), ())
        kept = tuple(record for record in known if whole and record.record != unit)
        if kept != known:
            await self._write(unit, kept)

    async def _add(self, unit: str, records: Sequence[Unreadable]) -> None:
        # Several series of a session have the same key. Their place in the response is another one in every run.
        known = {_identity(old): old for old in self._remembered.get(encode_id(unit), ())}
        new = [record for record in records if _identity(record) not in known]
        if new:
            await self._write(unit, (*known.values(), *new))
        for record in new:
            self._emit(record)

    async def _write(self, unit: str, records: tuple[Unreadable, ...]) -> None:
        self._remembered[encode_id(unit)] = records
        await asyncio.to_thread(self._store.put_unreadable, self._app_id, unit, records)


def _identity(record: Unreadable) -> tuple[str, str]:
    """Return what makes a record known; the reason of a whole unit names the request, which is new every time."""
    return record.record, "" if record.record == record.unit else record.reason
