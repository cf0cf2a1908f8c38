"""What a reader pastes from README and docs works: every Python and console block is executed."""

import sys

import pytest

from tests.conftest import slow
from tests.documents.blocks import PAGES, ROOT, Block, Step, blocks_of, shows, steps_of
from tests.documents.page_runner import EXECUTED, SKIPPED

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the pages are written for a POSIX shell")

ELSEWHERE = {
    "docs/contributing/testing.md": "tests/test_testing_page.py",
    "docs/contributing/adding-an-endpoint.md": "tests/agora/test_add_an_endpoint.py",
    "docs/howto/store-in-a-bucket.md": "tests/documents/test_bucket_page.py",
    "docs/howto/fleet.md": "tests/documents/test_fleet_pages.py",
    "docs/howto/fleet-runbook.md": "tests/documents/test_fleet_pages.py",
    "docs/howto/one-machine.md": "tests/documents/test_fleet_pages.py",
}
"""Pages whose blocks are tests, additions to the package, or need a server; and the test that executes them."""
SLOW = {"docs/howto/complaints.md", "docs/simulator.md"}
MOST_SKIPPED = 20

NAMES = {page.relative_to(ROOT).as_posix(): page for page in PAGES}
WITH_BLOCKS = {
    name: page
    for name, page in NAMES.items()
    if name not in ELSEWHERE and any(block.language in EXECUTED for block in blocks_of(page))
}
TUTORIALS = [name for name in WITH_BLOCKS if name.startswith("docs/tutorials/")]


@pytest.mark.parametrize(
    "name", [slow(name) if name in SLOW else name for name in WITH_BLOCKS if name not in TUTORIALS]
)
def test_blocks_of_page_run(name, page_runner):
    page_runner.run(WITH_BLOCKS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_can_be_followed_word_by_word(name, tutorial_runner):
    """In an empty folder, without an account, with the processes that the page starts."""
    tutorial_runner.run(WITH_BLOCKS[name])
    assert tutorial_runner.executed >= 4


def test_skipped_blocks_are_few_and_have_a_reason():
    skipped = [
        block
        for page in WITH_BLOCKS.values()
        for block in blocks_of(page)
        if block.directives.keys() & SKIPPED
    ]
    print("not executed:", *(f"{block}: {block.directives}" for block in skipped), sep="\n  ")
    assert all(len(block.directives.get("skip", "this test suite").split()) >= 3 for block in skipped)
    assert len(skipped) <= MOST_SKIPPED


def test_pages_that_are_executed_elsewhere_are_named_there():
    for page, test in ELSEWHERE.items():
        assert page.rpartition("/")[2] in (ROOT / test).read_text()


def test_blocks_have_a_known_language():
    """A block without a language, or with a misspelt one, would not be executed."""
    known = {*EXECUTED, "bash", "cron", "dockerfile", "ini", "json", "sql", "text", "toml", "yaml"}
    languages = {str(block): block.language for page in PAGES for block in blocks_of(page)}
    of_sphinx = "{"
    assert {
        block: name
        for block, name in languages.items()
        if name not in known and not name.startswith(of_sphinx)
    } == {}


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        ("10:04 lounge-3  12 %", "23:59 game-21   3.5 %", True),
        ("a 1\n...\nb 2", "a 5\nx\ny\nb 6", True),
        ("a 1\n...\nb 2", "a 5\nx\ny\nc 6", False),
        ("3 calls", "4 sessions", False),
        ("wrong time; ...\nb", "wrong time; use UTC\nb", True),
        ("name  loss\n────\nx     -", "name loss\n──\nx     0.5 %", True),
    ],
)
def test_output_is_compared_without_numbers(shown, output, same):
    assert shows(tuple(shown.splitlines()), output) is same


def test_commands_are_separated_from_their_output():
    text = "$ export A=1\n$ calls \\\n  --all\nb 1\n$ sql 'select\n1'\n"
    assert steps_of(Block("page.md", 1, "console", text, {})) == [
        Step("export A=1", ()),
        Step("calls \\\n  --all", ("b 1",)),
        Step("sql 'select\n1'", ()),
    ]
