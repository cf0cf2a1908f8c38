import pytest

from agora_analytics.store import ParquetStore, open_store


@pytest.fixture
def store(tmp_path) -> ParquetStore:
    """A store that is not flushed to the disk, which would take most of the time of a test."""
    return open_store(tmp_path / "store", create=True, durable=False)
