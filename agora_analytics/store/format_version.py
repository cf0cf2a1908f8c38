"""Checks that a folder is a store with a supported format version, and creates new stores."""

import json
from contextlib import suppress
from pathlib import Path

import agora_analytics
from agora_analytics.errors import StoreError, StoreVersionError
from agora_analytics.schemas import TABLES
from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.layout import FORMAT_FILE, PARTS
from agora_analytics.store.object_writer import make_folder, write_text

FORMAT = 3
"""Version of the format; incremented for each incompatible change. Format 3 has locks for each app."""
READABLE = (2, 3)
"""The formats that this version reads. The first write to a store of an older one upgrades it."""

_IGNORED = {"lost+found"}


def ensure(folder: Path, *, create: bool, durable: bool = True) -> None:
    """Check that a folder is a store that this version can read. Create the store first if `create` is true.

    `create` also writes the format file of a store again if a crash damaged it.

    Raises:
        StoreVersionError: if the store has another format.
        StoreError: if the folder is not a store, contains other files, or cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     ensure(Path(folder), create=True)
        ...     [path.name for path in Path(folder).iterdir()]
        ['_store.json']
    """
    with translate_os_errors("cannot open the store", folder):
        if folder.exists() and not folder.is_dir():
            raise StoreError(
                f"cannot open the store {folder}: it is a file; a store is a folder, so choose another path"
            )
        try:
            text = (folder / FORMAT_FILE).read_text("utf-8", "replace")
        except FileNotFoundError:
            text = None
    if text is not None and not (create and _is_cut(text)):
        check(folder, text)
    elif create:
        _create(folder, durable=durable)
    elif folder.exists():
        inside = next((parent for parent in folder.parents if (parent / FORMAT_FILE).exists()), None)
        advice = f"give {inside}, which contains it" if inside else "give the folder of an existing store"
        raise StoreError(f"{folder} is not a store: it has no {FORMAT_FILE}; {advice}")
    else:
        raise StoreError(
            f"the store {folder} does not exist; "
            "give the folder of an existing store, or harvest into this one first"
        )


def _is_cut(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return True
    return "\ufffd" in text


def check(folder: Path | str, text: str) -> None:
    """Check the text of a format file. Raise `StoreVersionError` for another version, `StoreError` if it is damaged."""
    try:
        content = json.loads(text)
        number, author = int(content["format"]), str(content.get("created_by", "an unknown version"))
    except (ValueError, TypeError, KeyError):
        advice = "run the harvest again, which writes it again, or " if _is_cut(text) else ""
        raise StoreError(
            f'cannot read {folder}/{FORMAT_FILE}: it is damaged; {advice}replace its content with {{"format": {FORMAT}}}'
        ) from None
    if number in READABLE:
        return
    advice = (
        "upgrade agora-analytics, or harvest into a new folder"
        if number > FORMAT
        else "read it with the version that wrote it, or harvest into a new folder"
    )
    raise StoreVersionError(
        f"the store {folder} has format {number}, written by {author}; "
        f"this is agora-analytics {agora_analytics.__version__}, which reads formats {READABLE[0]} to {FORMAT}: {advice}"
    )


def _create(folder: Path, *, durable: bool) -> None:
    with translate_os_errors("cannot create the store", folder):
        make_folder(folder, durable=durable)
        if foreign := _foreign(folder):
            raise StoreError(
                f"{folder} contains other files ({foreign}) and no {FORMAT_FILE}; "
                "a store needs its own folder, so give an empty or a new one"
            )
        write_text(folder / FORMAT_FILE, new_text(), durable=durable)


def upgrade(folder: Path, *, durable: bool) -> None:
    """Make a store of an older format one of this format. The caller keeps older versions from writing to it."""
    with translate_os_errors("cannot upgrade", folder), suppress(FileNotFoundError):
        text = (folder / FORMAT_FILE).read_text("utf-8", "replace")
        check(folder, text)
        if json.loads(text)["format"] != FORMAT:
            write_text(folder / FORMAT_FILE, new_text(), durable=durable)


def new_text() -> str:
    """Return the text of a new format file."""
    content = {"format": FORMAT, "created_by": f"agora-analytics {agora_analytics.__version__}"}
    return json.dumps(content) + "\n"


def _foreign(folder: Path) -> str | None:
    for entry in folder.iterdir():
        # another process may be creating the same store
        if entry.name.startswith((".", FORMAT_FILE)) or entry.name in _IGNORED or _is_part(entry):
            continue
        return None if (folder / FORMAT_FILE).exists() else entry.name
    return None


def _is_part(entry: Path) -> bool:
    """Return whether a store without its format file may have this entry."""
    if entry.name in TABLES:
        return entry.is_dir() and all(app.name.startswith("app_id=") for app in entry.iterdir())
    return entry.name in PARTS
