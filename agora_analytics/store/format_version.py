"""Checks that a folder is a store with a supported format version, and creates new stores."""

import json
import secrets
from pathlib import Path

import agora_analytics
from agora_analytics.errors import StoreError, StoreVersionError
from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.layout import FORMAT_FILE

FORMAT = 2
"""Version of the format; incremented for each incompatible change."""

_IGNORED = {"lost+found"}


def ensure(folder: Path, *, create: bool) -> None:
    """Check that a folder is a store that this version can read. Create the store first if `create` is true.

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
            text = (folder / FORMAT_FILE).read_text("utf-8")
        except FileNotFoundError:
            text = None
    if text is not None:
        _check(folder, text)
    elif create:
        _create(folder)
    elif folder.exists():
        raise StoreError(
            f"there is no store in {folder}: it has no {FORMAT_FILE}; give the folder of an existing store"
        )
    else:
        raise StoreError(f"there is no store at {folder}; give the folder of an existing store")


def _check(folder: Path, text: str) -> None:
    try:
        content = json.loads(text)
        number, author = int(content["format"]), str(content.get("created_by", "an unknown version"))
    except (ValueError, TypeError, KeyError):
        raise StoreError(
            f"cannot read {folder / FORMAT_FILE}: it is damaged; if the other files are intact, "
            f'replace its content with {{"format": {FORMAT}}}'
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


def _create(folder: Path) -> None:
    with translate_os_errors("cannot create the store", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if foreign := _foreign(folder):
            raise StoreError(
                f"{folder} contains other files ({foreign}) and no {FORMAT_FILE}; "
                "a store needs its own folder, so give an empty or a new one"
            )
        staged = folder / f"{FORMAT_FILE}.{secrets.token_hex(4)}"
        text = json.dumps({"format": FORMAT, "created_by": f"agora-analytics {agora_analytics.__version__}"})
        try:
            staged.write_text(text + "\n", "utf-8")
            staged.replace(folder / FORMAT_FILE)
        finally:
            staged.unlink(missing_ok=True)


def _foreign(folder: Path) -> str | None:
    for entry in folder.iterdir():
        # another process may be creating the same store
        if not entry.name.startswith((".", FORMAT_FILE)) and entry.name not in _IGNORED:
            return None if (folder / FORMAT_FILE).exists() else entry.name
    return None
