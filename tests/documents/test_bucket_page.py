"""The blocks of the page about buckets run against a bucket."""

import sys

import pytest

from tests.documents.blocks import ROOT

pytest.importorskip("deltalake")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the pages are written for a POSIX shell")

PAGE = ROOT / "docs/howto/store-in-a-bucket.md"


def test_blocks_of_the_page_run(page_runner, s3):
    assert s3.server.ask("PUT", "/my-bucket") == 200
    page_runner.run(PAGE)
    assert page_runner.executed >= 5
