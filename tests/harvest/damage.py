"""Damages to files of a store, as a power failure or a fault of the disk leaves them."""

from pathlib import Path

import pyarrow.parquet as pq


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def zeros(path: Path) -> None:
    """The length was written, the content was not."""
    path.write_bytes(bytes(path.stat().st_size))


def flip_end(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-8] + bytes(255 - byte for byte in content[-8:]))


def flip_page(path: Path) -> None:
    """Flip a bit in the last page of the first column. The footer of the file stays intact."""
    column = pq.read_metadata(path).row_group(0).column(0)
    last = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
    content = path.read_bytes()
    path.write_bytes(content[:last] + bytes([content[last] ^ 1]) + content[last + 1 :])


def flip_table_name(path: Path) -> None:
    """Flip a byte of the footer, in the name of a table that the row of a call names."""
    path.write_bytes(path.read_bytes().replace(b'"sessions"', b'"sessioJs"'))


def drop_time_type(path: Path) -> None:
    """Leave the times of a column as integers, as a flipped byte in the footer does."""
    rows = pq.ParquetFile(path).read()
    times = rows.schema.get_field_index("ts")
    pq.write_table(rows.set_column(times, "ts", rows["ts"].cast("int64")), path)


def missing(path: Path) -> None:
    path.unlink()


DAMAGES = (empty, half, zeros, flip_end, missing)


def damageable_files(store: Path) -> dict[str, list[Path]]:
    """Return the files of a store that a harvest repairs, relative to it, by kind."""
    by_kind: dict[str, list[Path]] = {}
    for path in sorted(store.rglob("*.*")):
        if path.is_file() and not {"_replaced", "_rollups"}.intersection(path.parts):
            relative = path.relative_to(store)
            folder = "/".join(part for part in relative.parts[:-1] if "=" not in part)
            kind = f"{folder} compacted" if path.name.startswith("compacted") else folder or path.name
            by_kind.setdefault(kind, []).append(relative)
    return by_kind
