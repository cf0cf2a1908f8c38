"""A call that is complete and waits for a publisher: one object with its sessions, its row and the names of its units."""

import base64
import hashlib
import json
from collections.abc import Sequence

import pyarrow as pa
from attrs import field, frozen

from agora_analytics.errors import StoreDamaged
from agora_analytics.schemas import CALLS
from agora_analytics.store import parquet_file
from agora_analytics.store.bucket import keys
from agora_analytics.store.layout import SUFFIX, encode_id, short_id
from agora_analytics.store.records import Published

_CALL = "agora_analytics.call"
_UNITS = "agora_analytics.units"
_FINAL = "final"


@frozen(kw_only=True)
class ReadyCall:
    """The new state of one call.

    Attributes:
        app_id: the app.
        call_id: the call.
        day: the UTC day on which it was created.
        row: its row of `calls`.
        sessions: its rows of `sessions`.
        units: all its units of `metrics`, those of an earlier snapshot included.
    """

    app_id: str
    call_id: str
    day: str
    row: pa.Table = field(repr=False)
    sessions: pa.Table = field(repr=False)
    units: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether the call had ended."""
        return all(self.row.column("finished").to_pylist())

    @property
    def until(self) -> int:
        """The last second of the call that was known (UTC epoch)."""
        (seconds,) = (
            self.row.column("destroyed_ts").cast(pa.timestamp("s", "UTC")).cast(pa.int64()).to_pylist()
        )
        return int(seconds or 0)

    @property
    def published(self) -> Published:
        """The state as a harvest sees it."""
        return Published(metrics=self.units, finished=self.finished)

    @property
    def key(self) -> str:
        """The key of the object. A call has one final state; the name of a snapshot identifies its content."""
        state = _FINAL
        if not self.finished:
            digest = hashlib.sha256("\n".join(self.units).encode()).hexdigest()[:16]
            state = f"{self.until}.{digest}"
        return f"{keys.day_folder(keys.READY_CALLS, self.app_id, self.day)}/{encode_id(f'{short_id(self.call_id)}.{state}')}{SUFFIX}"

    def encode(self) -> bytes:
        """Return the bytes of the object."""
        row = pa.BufferOutputStream()
        with pa.ipc.new_stream(row, self.row.schema) as writer:
            writer.write_table(self.row)
        metadata = {
            _CALL: base64.b64encode(row.getvalue().to_pybytes()).decode(),
            _UNITS: json.dumps(self.units),
            "app_id": self.app_id,
            "day": self.day,
        }
        return parquet_file.encode("sessions", self.sessions, metadata=metadata)[0]

    @classmethod
    def decode(cls, key: str, content: bytes) -> "ReadyCall":
        """Return the call in an object.

        Raises:
            StoreDamaged: if it is not such an object.
        """
        try:
            sessions, metadata = parquet_file.decode(content, "sessions")
            with pa.ipc.open_stream(base64.b64decode(metadata[_CALL])) as reader:
                row = parquet_file.conformed("calls", reader.read_all()).cast(CALLS)
            (call_id,) = row.column("call_id").to_pylist()
            return cls(
                app_id=metadata["app_id"],
                call_id=call_id,
                day=metadata["day"],
                row=row,
                sessions=sessions,
                units=tuple(json.loads(metadata[_UNITS])),
            )
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as problem:
            raise StoreDamaged(
                f"cannot read {key}: it is not a call of this library ({type(problem).__name__}); "
                "delete the object and run the harvest again, which fetches the call again"
            ) from problem


def newest_states(calls: Sequence[ReadyCall]) -> list[ReadyCall]:
    """Return the calls so that each state of a call comes before the states that continue it."""
    return sorted(calls, key=lambda call: (call.finished, len(call.units), call.until, call.key))


def points_of_key(key: str) -> tuple[str, int]:
    """Return the file name of the unit of ready points, and when they were written (nanoseconds)."""
    unit, _, nanoseconds = keys.file_name(key).removesuffix(SUFFIX).rpartition(".")
    return unit, int(nanoseconds)
