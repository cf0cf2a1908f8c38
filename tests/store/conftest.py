import pytest

from agora_analytics.store import ParquetStore, open_store


@pytest.fixture
def store(tmp_path) -> ParquetStore:
    return open_store(tmp_path / "store", create=True)
