"""Fixtures: dlt without telemetry and without the user's settings, a pipeline into a DuckDB file, and harvested stores."""

import shutil

import pytest
from dlt.common.runtime import run_context

from tests.integrations.dlt.harness import Loader
from tests.integrations.dlt.worlds import harvest


@pytest.fixture(autouse=True)
def dlt_of_the_test(monkeypatch, tmp_path):
    """Let dlt read and write below the folder of the test only. `tests/conftest.py` disables its telemetry."""
    for name in ("DLT_DATA_DIR", "DLT_PROJECT_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    # for root, this folder does not depend on the environment
    monkeypatch.setattr(run_context, "global_dir", lambda: str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def loader(tmp_path):
    """A pipeline into a DuckDB file; see `Loader`."""
    return Loader(tmp_path)


@pytest.fixture(scope="session")
def _stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    harvest(folder / "begun", until=3, now=20)
    shutil.copytree(folder / "begun", folder / "whole")
    harvest(folder / "whole")
    return folder


@pytest.fixture
def put_store(_stores, tmp_path):
    """Put a harvest of `TWO_DAYS` into the store of the test: `begun` (two calls), or `whole`, which continues it."""

    def put(name):
        folder = tmp_path / "store"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(_stores / name, folder)
        return folder

    return put
