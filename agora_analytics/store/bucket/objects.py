"""The objects below a store's prefix: put, create, get, list and delete, over obstore."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import obstore
from attrs import field, frozen
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import ObjectStore

from agora_analytics.store.bucket.bucket_errors import bucket_errors
from agora_analytics.store.bucket.location import BucketLocation

T = TypeVar("T")
R = TypeVar("R")

_CONCURRENCY = 16
_MOST_KEYS = 1000
"""Keys in one request that deletes."""


@frozen
class Objects:
    """The objects of a store. Methods block and are thread-safe. Keys are relative to the prefix."""

    location: BucketLocation
    _store: ObjectStore = field(repr=False)

    @classmethod
    def open(cls, location: BucketLocation) -> "Objects":
        """Open a location. No request is sent.

        Raises:
            StoreError: if the environment has invalid settings.
        """
        with bucket_errors("cannot open", location.url):
            return cls(location, location.open())

    def put(self, key: str, content: bytes) -> None:
        """Write an object, or replace it."""
        with bucket_errors("cannot write", self._url(key)):
            obstore.put(self._store, key, content, use_multipart=False)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless it exists; return whether it was written.

        A request that is sent again after a lost response finds the object of its first attempt and returns False. So
        False only means that the object exists.
        """
        with bucket_errors("cannot write", self._url(key)):
            try:
                # several parts cannot be written conditionally
                obstore.put(self._store, key, content, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def get(self, key: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        with bucket_errors("cannot read", self._url(key)):
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                return None

    def get_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of objects by key, in the order of the keys. Missing objects are left out."""
        found = concurrently(self.get, list(keys))
        return {key: content for key, content in found.items() if content is not None}

    def list(self, prefix: str) -> dict[str, int]:
        """Return the sizes of the objects below a prefix, a folder, by key; sorted."""
        with bucket_errors("cannot list", self._url(prefix)):
            pages = obstore.list(self._store, prefix, chunk_size=_MOST_KEYS)
            return dict(sorted((entry["path"], entry["size"]) for page in pages for entry in page))

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. Missing objects are ignored."""
        for start in range(0, len(keys), _MOST_KEYS):
            with bucket_errors("cannot delete in", self.location.url):
                self._delete(keys[start : start + _MOST_KEYS])

    def _delete(self, keys: Sequence[str]) -> None:
        try:
            obstore.delete(self._store, list(keys))
        except FileNotFoundError:  # of a local folder, which stops at the first missing one
            if len(keys) > 1:
                for key in keys:
                    self._delete([key])

    def _url(self, key: str) -> str:
        return f"{self.location.url}/{key}"


def concurrently(work: Callable[[T], R], items: Sequence[T]) -> Mapping[T, R]:
    """Return the result of a blocking function for each item, from several threads."""
    if len(items) < 2:
        return {item: work(item) for item in items}
    with ThreadPoolExecutor(min(_CONCURRENCY, len(items))) as pool:
        return dict(zip(items, pool.map(work, items), strict=True))
