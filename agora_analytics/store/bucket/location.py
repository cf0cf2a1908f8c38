"""The place of a store in a bucket: its URL, and how obstore and deltalake open it."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import frozen

from agora_analytics.core.base_url import path_as_url
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
"""The schemes of the URLs of a store: S3, Google Cloud Storage, Azure Blob Storage."""

_RETRIES = 6
_RETRY_FOR = 60
"""Seconds after which no failed request is sent again."""
_DELTA_OPTIONS = {
    "max_retries": str(_RETRIES),
    "retry_timeout": f"{_RETRY_FOR}s",
}


def bucket_url(path: str | Path) -> str | None:
    """Return the URL if a text names a store in a bucket; None if it is a path, or another URL.

    Example:
        >>> bucket_url("s3://bucket/calls"), bucket_url("calls.store"), bucket_url("https://example.com")
        ('s3://bucket/calls', None, None)
    """
    if isinstance(path, Path):
        return None
    url = path_as_url(path)
    return url if url and url.partition("://")[0].lower() in SCHEMES else None


@frozen
class BucketLocation:
    """A prefix in a bucket. The credentials are not part of it: obstore and deltalake take them from the environment.

    Attributes:
        scheme: one of `SCHEMES`, or `file` for a local folder with the semantics of a bucket, for tests.
        bucket: the bucket or Azure container; "" for a folder.
        prefix: the prefix without slashes at its ends; for a folder its absolute path.
    """

    scheme: str
    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> "BucketLocation":
        """Return the location that a URL names.

        Raises:
            InvalidRequest: if the URL has no bucket, or more than a bucket and a prefix, such as credentials.

        Example:
            >>> BucketLocation.parse("s3://bucket/calls/").url
            's3://bucket/calls'
        """
        if "@" in url or "?" in url or "#" in url:  # no error may show what could be credentials
            raise InvalidRequest(
                "the URL of a store is a bucket and a prefix, such as s3://bucket/calls; "
                "credentials and options belong in the environment, such as AWS_ACCESS_KEY_ID"
            )
        parts = urlsplit(url)
        bucket, prefix = parts.netloc, parts.path.strip("/")
        if not bucket or any(part in {"", ".", ".."} for part in prefix.split("/") if prefix):
            raise InvalidRequest(
                f"cannot open the store {url}: give a bucket and a prefix, such as s3://bucket/calls"
            )
        return cls(parts.scheme.lower(), bucket, prefix)

    @property
    def url(self) -> str:
        """The URL of the store."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def delta_options(self) -> dict[str, str]:
        """The storage options of deltalake."""
        return {} if self.scheme == "file" else dict(_DELTA_OPTIONS)

    def open(self) -> "ObjectStore":
        """Return the prefix as an object store of obstore."""
        from obstore import store

        if self.scheme == "file":
            return store.LocalStore(f"/{self.prefix}", mkdir=True)
        options: Any = {
            "prefix": self.prefix or None,
            # no client options, because they replace those of the environment, such as AWS_ALLOW_HTTP
            "retry_config": {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_FOR)},
        }
        match self.scheme:
            case "s3":
                return store.S3Store(self.bucket, **options)
            case "gs":
                return store.GCSStore(self.bucket, **options)
            case _:
                return store.AzureStore(self.bucket, **options)
