"""Dirty responses: complete answers that are encoded, typed or dated in another way than the vendor documents.

A fault (see `faults`) loses a response. Dirt leaves it whole, and a client has to read what can be read. Which records
are dirty depends on the seed and on the record: a second request returns the same dirt.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import formatdate
from random import Random
from typing import Any, Literal, get_args

from attrs import define, field, frozen
from attrs.converters import optional
from attrs.validators import and_, ge, le

RecordDirt = Literal[
    "number-as-text", "integer-as-float", "boolean-as-number", "boolean-as-text", "nan", "unknown-field",
    "unreadable-optional", "lone-surrogate", "invalid-utf8", "control-characters", "formula",
    "unreadable-key", "milliseconds", "beyond-64-bits", "empty-id",
]  # fmt: skip
ResponseDirt = Literal[
    "byte-order-mark", "null-list", "missing-list", "upper-case-message", "gzip-members", "x-gzip", "raw-deflate",
    "gzip-in-gzip", "gzip-bomb", "cookie", "cached-date",
]  # fmt: skip
DirtKind = RecordDirt | ResponseDirt
"""The kinds of dirt in records and responses."""
DIRT_KINDS: tuple[DirtKind, ...] = (*get_args(RecordDirt), *get_args(ResponseDirt))
"""All kinds of dirt."""
LOSSES: frozenset[DirtKind] = frozenset({"unreadable-key", "milliseconds", "beyond-64-bits", "empty-id"})
"""The kinds that make a record unreadable."""
BOMB_BYTES = 300 << 20
"""The size of a `gzip-bomb` once it is unpacked; it is sent as 0.3 MB."""

_ON_RESPONSES = frozenset(get_args(ResponseDirt))
_IDS = ("call_id", "sid", "sessionId", "meetingId", "connectionId", "streamId", "subscriberId")
_TIMES = ("created_ts", "join_ts", "ts", "ms", "timestamp", "Timestamp", "createdAt", "intervalStart")
_NAMES = ("cname", "message", "payload", "network", "country", "dimension_value")
_OPTIONAL = (
    "network", "platform", "speaker", "sdk_version", "browser", "country", "region", "city", "sdkVersion"
)  # fmt: skip
_INVALID_BYTE = "\ue000"  # stands for a byte that is not UTF-8 until the body is encoded
Record = dict[str, Any]


def _known(_dirt: Any, _attribute: Any, kinds: tuple[str, ...]) -> None:
    if unknown := set(kinds) - set(DIRT_KINDS):
        raise ValueError(f"unknown dirt: {', '.join(sorted(unknown))}; use {', '.join(DIRT_KINDS)}")


@frozen(kw_only=True)
class Dirt:
    """Which responses and records are dirty, and how.

    Attributes:
        share: the share of records, and of responses, that are dirty (0 to 1).
        kinds: the dirt; each dirty record or response gets one kind that applies to it. Default: all but `gzip-bomb`,
            which no client can read.
        seed: the same seed makes the same records dirty.
        only: the endpoints whose responses can be dirty, such as `call/lists`. None: all.

    Example:
        >>> Dirt(share=0.05, kinds=("milliseconds",), only={"call/lists"}).seed
        1
    """

    share: float = field(default=0.05, validator=and_(ge(0), le(1)))
    kinds: tuple[DirtKind, ...] = field(
        default=tuple(kind for kind in DIRT_KINDS if kind != "gzip-bomb"), converter=tuple, validator=_known
    )
    seed: int = 1
    only: frozenset[str] | None = field(default=None, converter=optional(frozenset))


@frozen
class DirtyResponse:
    """A response with its dirt. `kinds` counts the dirt, `unreadable` has the key of each record that is lost."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    kinds: Counter[str]
    unreadable: tuple[str, ...]


def dirty_response(dirt: Dirt, endpoint: str, number: int, status: int, body: bytes) -> DirtyResponse:
    """Return a response with dirt.

    Args:
        dirt: what to do.
        endpoint: the name of the endpoint.
        number: the number of the request, which decides on the dirt of the response itself.
        status: the HTTP status; the records of an error are not made dirty.
        body: the JSON body; another body stays as it is.
    """
    clean = DirtyResponse(body, (), Counter(), ())
    if dirt.only is not None and endpoint not in dirt.only:
        return clean
    try:
        content = json.loads(body)
    except ValueError:
        return clean
    pen = _Pen(dirt, endpoint)
    on_response = pen.draw(f"request {number}", lambda kind: kind in _ON_RESPONSES)
    if status < 400:
        pen.soil(content, "")
    if on_response in _CONTENT_DIRT and isinstance(content, dict):
        _CONTENT_DIRT[on_response](content)
    text = json.dumps(content, separators=(",", ":"))
    body = text.encode().replace(json.dumps(_INVALID_BYTE)[1:-1].encode(), b"\xff")
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if on_response in _ENCODED_DIRT:
        body, headers = _ENCODED_DIRT[on_response](body)
    if on_response is not None:
        pen.kinds[on_response] += 1
    return DirtyResponse(body, headers, pen.kinds, tuple(pen.unreadable))


@define
class _Pen:
    """Makes the records of one response dirty, and notes what it did."""

    dirt: Dirt
    endpoint: str
    kinds: Counter[str] = field(factory=Counter)
    unreadable: list[str] = field(factory=list)

    def draw(self, identity: str, applies: Callable[[DirtKind], bool]) -> DirtKind | None:
        """Return the dirt of something with an identity; None: it stays clean."""
        dice = Random(f"{self.dirt.seed}/{self.endpoint}/{identity}")
        if dice.random() >= self.dirt.share:
            return None
        kinds = [kind for kind in self.dirt.kinds if applies(kind)]
        return dice.choice(kinds) if kinds else None

    def soil(self, value: Any, parent: str) -> None:
        """Make the records in a value dirty: the objects in its lists, at any depth."""
        if isinstance(value, dict):
            for content in value.values():
                self.soil(content, parent)
        elif isinstance(value, list):
            for item in value:
                identity = f"{parent}/{_identity(item)}" if isinstance(item, dict) else parent
                self.soil(item, identity)
                if isinstance(item, dict):
                    self._soil_record(item, identity)

    def _soil_record(self, record: Record, identity: str) -> None:
        changed = {kind: change for kind, change in _RECORD_DIRT.items() if list(change(dict(record)))}
        kind = self.draw(identity, lambda kind: kind in changed)
        if kind is None:
            return
        self.kinds[kind] += 1
        if kind in LOSSES:
            self.unreadable.append(identity.lstrip("/"))
        record.update(changed[kind](dict(record)))


def _identity(record: Record) -> str:
    names = (*_IDS, *_TIMES, "mid", "peer_uid")
    return " ".join(str(record[name]) for name in names if isinstance(record.get(name), (str, int)))


Change = Callable[[Record], Iterator[tuple[str, Any]]]


def _each(types: type | tuple[type, ...], convert: Callable[[Any], Any]) -> Change:
    """Convert every value of a type, and the points of a series."""

    def change(record: Record) -> Iterator[tuple[str, Any]]:
        for name, value in record.items():
            if isinstance(value, types) and (types is bool or not isinstance(value, bool)):
                yield name, convert(value)
            elif name == "kvs" and types is not bool:
                yield name, [[convert(v) if isinstance(v, types) else v for v in pair] for pair in value]

    return change


def _first(names: tuple[str, ...], types: type | tuple[type, ...], convert: Callable[[Any], Any]) -> Change:
    """Convert the first of these fields that a record has."""

    def change(record: Record) -> Iterator[tuple[str, Any]]:
        for name in names:
            if isinstance(record.get(name), types):
                yield name, convert(record[name])
                return

    return change


def _nan(record: Record) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if name == "kvs" and value:
            yield name, [[value[0][0], float("nan")], *value[1:]]
        elif isinstance(value, float):
            yield name, float("nan")


_RECORD_DIRT: dict[DirtKind, Change] = {
    "number-as-text": _each((int, float), repr),
    "integer-as-float": _each(int, float),
    "boolean-as-number": _each(bool, int),
    "boolean-as-text": _each(bool, lambda value: str(value).lower()),
    "nan": _nan,
    "unknown-field": lambda _record: iter([("x_unknown", {"deep": [None, {"a": 1}]})]),
    "unreadable-optional": _first(_OPTIONAL, (str, bool), lambda value: {"unexpected": [value]}),
    "lone-surrogate": _first(_NAMES, str, lambda text: text + "\ud83d"),
    "invalid-utf8": _first(_NAMES, str, lambda text: text + _INVALID_BYTE),
    "control-characters": _first(_NAMES, str, lambda text: f"\x1b[2J\u202e{text}\x00"),
    "formula": _first(_NAMES, str, lambda text: f"=cmd|'/c calc'!A1 {text}"),
    "unreadable-key": _first((*_IDS, "mid", *_TIMES), (str, int), lambda value: {"unexpected": value}),
    "milliseconds": _first(("created_ts", "join_ts", "ts"), int, lambda seconds: seconds * 1000),
    "beyond-64-bits": _first(
        ("created_ts", "join_ts", "ts", "ms", "mid"), int, lambda value: value + (1 << 70)
    ),
    "empty-id": _first(_IDS, str, lambda _: ""),
}


def _null_lists(content: Record) -> None:
    content.update({name: None for name, value in content.items() if value == []})


def _missing_lists(content: Record) -> None:
    for name in [name for name, value in content.items() if value == []]:
        del content[name]


def _upper_case(content: Record) -> None:
    for name, value in content.items():
        if name.lower() == "message" and isinstance(value, str):
            content[name] = value.upper()


_CONTENT_DIRT: dict[Any, Callable[[Record], None]] = {
    "null-list": _null_lists,
    "missing-list": _missing_lists,
    "upper-case-message": _upper_case,
}


def _raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def _bomb(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    pieces = [packer.compress(b" " * (1 << 20)) for _ in range(BOMB_BYTES >> 20)]
    return b"".join([*pieces, packer.compress(body), packer.flush()])


def _encoded(name: bytes, pack: Callable[[bytes], bytes]) -> Callable[[bytes], Any]:
    return lambda body: (pack(body), ((b"content-encoding", name),))


_CACHED_AT = 86_400 * 365
_ENCODED_DIRT: dict[Any, Callable[[bytes], Any]] = {
    "byte-order-mark": lambda body: (b"\xef\xbb\xbf" + body, ()),
    "gzip-members": _encoded(b"gzip", lambda body: b"".join(map(gzip.compress, (body[:50], body[50:])))),
    "x-gzip": _encoded(b"x-gzip", gzip.compress),
    "raw-deflate": _encoded(b"deflate", _raw_deflate),
    "gzip-in-gzip": _encoded(b"gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
    "gzip-bomb": _encoded(b"gzip", _bomb),
    "cookie": lambda body: (body, ((b"set-cookie", b"visitor=1; Path=/"),)),
    "cached-date": lambda body: (
        body,
        ((b"age", b"%d" % _CACHED_AT), (b"date", formatdate(_CACHED_AT, usegmt=True).encode())),
    ),
}
