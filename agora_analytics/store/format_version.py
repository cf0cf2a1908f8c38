"""Whether a folder is a store of ours, and which version wrote it."""

import json
import secrets
from pathlib import Path

import agora_analytics
from agora_analytics.errors import StoreError, StoreVersionError
from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.layout import FORMAT_FILE

FORMAT = 2
"""Raised by one when a version cannot read what the one before wrote."""

_HARMLESS = {"lost+found"}


def ensure(folder: Path, *, create: bool) -> None:
    """Check that a folder is a store that this version reads; make it one first if `create`.

    Args:
        folder: the store's folder.
        create: make the folder and `_store.json` if they are not there yet.

    Raises:
        StoreVersionError: if another format is in it.
        StoreError: if it is no store, holds other things, or cannot be written.

    Example:
        >>> ensure(Path("/tmp/calls"), create=True)
    """
    with translate_os_errors("cannot open the store", folder):
        if folder.exists() and not folder.is_dir():
            raise StoreError(
                f"cannot open the store {folder}: it is a file; a store is a folder, so choose another name"
            )
        try:
            text = (folder / FORMAT_FILE).read_text("utf-8")
        except FileNotFoundError:
            text = None
    if text is not None:
        _check(folder, text)
    elif create:
        _make(folder)
    elif folder.exists():
        raise StoreError(
            f"{folder} is no store: it has no {FORMAT_FILE}; give the folder that a harvest wrote to"
        )
    else:
        raise StoreError(f"there is no store at {folder}; give the folder that a harvest wrote to")


def _check(folder: Path, text: str) -> None:
    try:
        found = json.loads(text)
        number, author = int(found["format"]), str(found.get("created_by", "an unknown version"))
    except (ValueError, TypeError, KeyError):
        raise StoreError(
            f"cannot read {folder / FORMAT_FILE}: it is damaged; if all else is well, "
            f'put {{"format": {FORMAT}}} into it'
        ) from None
    if number == FORMAT:
        return
    advice = (
        "upgrade agora-analytics, or harvest into a new folder"
        if number > FORMAT
        else "read it with the version that wrote it, or harvest into a new folder"
    )
    raise StoreVersionError(
        f"the store {folder} has format {number}, written by {author}; "
        f"this is agora-analytics {agora_analytics.__version__}, which reads format {FORMAT}: {advice}"
    )


def _make(folder: Path) -> None:
    with translate_os_errors("cannot make the store", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if foreign := _foreign(folder):
            raise StoreError(
                f"{folder} holds other things ({foreign}) and no {FORMAT_FILE}; "
                "a store needs a folder of its own, so give an empty or a new one"
            )
        aside = folder / f"{FORMAT_FILE}.{secrets.token_hex(4)}"
        text = json.dumps({"format": FORMAT, "created_by": f"agora-analytics {agora_analytics.__version__}"})
        try:
            aside.write_text(text + "\n", "utf-8")
            aside.replace(folder / FORMAT_FILE)
        finally:
            aside.unlink(missing_ok=True)


def _foreign(folder: Path) -> str | None:
    for entry in folder.iterdir():
        # another process may be making the same store at this moment
        if not entry.name.startswith((".", FORMAT_FILE)) and entry.name not in _HARMLESS:
            return None if (folder / FORMAT_FILE).exists() else entry.name
    return None
