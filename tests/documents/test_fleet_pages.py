"""The blocks of the pages about fleets run against PostgreSQL and a bucket: fleet.md, fleet-runbook.md, one-machine.md."""

import shutil
import sys

import pytest

from tests.documents.blocks import ROOT, blocks_of
from tests.documents.conftest import free_ports
from tests.documents.page_runner import PageRunner

pytest.importorskip("deltalake")
pytest.importorskip("procrastinate")
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the pages are written for a POSIX shell"),
    pytest.mark.slow,
]

FLEET, RUNBOOK, ONE_MACHINE = (
    ROOT / f"docs/howto/{name}.md" for name in ("fleet", "fleet-runbook", "one-machine")
)


@pytest.fixture
def runner(simulated_vendors, postgres, s3, tmp_path):
    """Run pages in processes of their own, as the owner of the database."""
    assert s3.server.ask("PUT", "/my-bucket") == 200
    folder = tmp_path / "empty"
    folder.mkdir()
    servers = {"AGORA_QUEUE": postgres.dsn, "AGORA_LEDGER": postgres.dsn}
    runner = PageRunner(folder, simulated_vendors | s3.environment | servers, free_ports())
    yield runner
    runner.close()
    shutil.rmtree(folder / "secrets", ignore_errors=True)  # as the page says, the reader stores secrets there


def test_blocks_of_the_pages_run(runner, postgres, worker_role):
    import psycopg

    for page in (FLEET, RUNBOOK, ONE_MACHINE):
        runner.run(page)
    assert runner.executed >= 10
    statements = [block for page in (FLEET, RUNBOOK) for block in blocks_of(page) if block.language == "sql"]
    assert len(statements) >= 3
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        for block in statements:
            connection.execute(block.text)
