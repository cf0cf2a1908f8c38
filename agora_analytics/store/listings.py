"""Listings of calls, stored page by page, so that an interrupted listing can be resumed."""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from agora_analytics.store import parquet_file
from agora_analytics.store.failures import translate_os_errors, translate_read_errors
from agora_analytics.store.layout import Layout, parquet_names
from agora_analytics.store.records import CallListing

RESUME = "agora_analytics.resume"

_PAGE_NAME = re.compile(r"(-?\d+)-(-?\d+)\.(\d+)\.parquet")


def read(layout: Layout, app_id: str) -> list[CallListing]:
    """Return the listings of an app by window; of each, the pages from the first to the first gap."""
    listings = []
    with ThreadPoolExecutor(4) as pool:
        for (start, end), numbers in sorted(page_numbers(layout.listings(app_id)).items()):
            if usable := without_gap(numbers):
                pages = pool.map(_read_page, (layout.listing(app_id, start, end, seq) for seq in usable))
                listings.append(join_pages(start, end, list(pages)))
    return listings


def without_gap(numbers: Iterable[int]) -> list[int]:
    """Return the numbers of pages from the first page to the first gap."""
    return [seq for position, seq in enumerate(sorted(numbers)) if position == seq]


def join_pages(start: int, end: int, pages: Sequence[tuple[pa.Table, dict[str, str]]]) -> CallListing:
    """Return the listing of a window from its pages, each with its metadata."""
    rows, metadata = zip(*pages, strict=True)
    return CallListing(
        start=start,
        end=end,
        pages=len(rows),
        resume=metadata[-1].get(RESUME, ""),
        rows=pa.concat_tables(rows),
    )


def remove(layout: Layout, app_id: str, start: int, end: int) -> None:
    """Remove the pages of a window, last page first, so that the remaining pages never have a gap."""
    folder = layout.listings(app_id)
    numbers = page_numbers(folder).get((start, end), [])
    with translate_os_errors("cannot remove a listing in", folder):
        for seq in sorted(numbers, reverse=True):
            layout.listing(app_id, start, end, seq).unlink(missing_ok=True)


def page_numbers(folder: Path) -> dict[tuple[int, int], list[int]]:
    """Return the numbers of the pages in a folder, by the window that they list."""
    with translate_os_errors("cannot list", folder):
        return numbers_of(parquet_names(folder))


def numbers_of(names: Iterable[str]) -> dict[tuple[int, int], list[int]]:
    """Return the numbers of the pages with these file names, by the window that they list."""
    numbers: dict[tuple[int, int], list[int]] = {}
    for name in names:
        if match := _PAGE_NAME.fullmatch(name):
            numbers.setdefault((int(match[1]), int(match[2])), []).append(int(match[3]))
    return numbers


def _read_page(path: Path) -> tuple[pa.Table, dict[str, str]]:
    with translate_os_errors("cannot read", path), translate_read_errors(path):
        return parquet_file.read(path, "calls")
