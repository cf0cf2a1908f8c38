"""Listings of calls, kept page by page, so that a listing goes on where it stopped."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from agora_analytics.schemas import CALLS
from agora_analytics.store import parquet_file
from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.layout import Layout
from agora_analytics.store.protocol import CallListing
from agora_analytics.store.reading import parquet_names, translate_read_errors

RESUME = "agora_analytics.resume"

_NAME = re.compile(r"(-?\d+)-(-?\d+)\.(\d+)\.parquet")


def read(layout: Layout, app_id: str) -> list[CallListing]:
    """Return the listings of an app by window; of each, the pages from the first to the first gap.

    Raises:
        StoreError: if the folder cannot be read, or a page is damaged.
    """
    windows = _windows(layout, app_id)
    with ThreadPoolExecutor(4) as pool:
        reading = {window: list(pool.map(_page, pages)) for window, pages in windows.items()}
    found = []
    for (start, end), pages in sorted(reading.items()):
        rows, notes = zip(*pages, strict=True)
        found.append(
            CallListing(
                start=start,
                end=end,
                pages=len(pages),
                resume=notes[-1].get(RESUME, ""),
                rows=pa.concat_tables(rows) if rows else CALLS.empty_table(),
            )
        )
    return found


def remove(layout: Layout, app_id: str, start: int, end: int) -> None:
    """Remove the pages of a window, the last one first: what is left at any moment is the start of the listing.

    Raises:
        StoreError: if the folder cannot be written.
    """
    folder = layout.listings(app_id)
    numbers = _numbers(folder).get((start, end), [])
    with translate_os_errors("cannot remove a listing in", folder):
        for seq in sorted(numbers, reverse=True):
            layout.listing(app_id, start, end, seq).unlink(missing_ok=True)


def _windows(layout: Layout, app_id: str) -> dict[tuple[int, int], list[Path]]:
    windows = {}
    for (start, end), numbers in _numbers(layout.listings(app_id)).items():
        without_gap = [seq for at, seq in enumerate(sorted(numbers)) if at == seq]
        if without_gap:
            windows[start, end] = [layout.listing(app_id, start, end, seq) for seq in without_gap]
    return windows


def _numbers(folder: Path) -> dict[tuple[int, int], list[int]]:
    numbers: dict[tuple[int, int], list[int]] = {}
    with translate_os_errors("cannot list", folder):
        for name in parquet_names(folder):
            if part := _NAME.fullmatch(name):
                numbers.setdefault((int(part[1]), int(part[2])), []).append(int(part[3]))
    return numbers


def _page(path: Path) -> tuple[pa.Table, dict[str, str]]:
    with translate_os_errors("cannot read", path), translate_read_errors(path):
        return parquet_file.read(path, "calls")
