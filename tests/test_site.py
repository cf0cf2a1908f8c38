"""The reference is complete, and each citation in a docstring names a page and a heading that exist."""

import ast
import importlib
import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
VENDORS = ROOT / "docs" / "reference" / "vendors"
SOURCES = sorted((ROOT / "agora_analytics").rglob("*.py"))
MODULES = ("", ".blocking", ".errors", ".insight", ".messages", ".schemas", ".simulator", ".testing")


def public_names(module):
    """The names of `__all__`; without it, the documented names that the module defines."""
    if hasattr(module, "__all__"):
        return module.__all__
    own = re.findall(
        r"^(?:class |def |async def )?([A-Za-z]\w*)", Path(module.__file__).read_text(), re.MULTILINE
    )
    return [
        name
        for name in dict.fromkeys(own)
        if name in vars(module) and is_public(getattr(module, name), module)
    ]


def is_public(value, module):
    if inspect.isclass(value) or inspect.isfunction(value):
        return value.__module__ == module.__name__
    return not inspect.ismodule(value) and not hasattr(value, "__bound__")  # nor a type variable


def resolve(path):
    """The object of a dotted path, whose first part is a module."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(path)


def documented():
    """Each directive of the reference: page, path and object."""
    for page in REFERENCE:
        for path in re.findall(r"^\.\. auto\w+:: (\S+)$", page.read_text(), re.MULTILINE):
            yield page.name, path, resolve(path)


@pytest.mark.parametrize("suffix", MODULES, ids=lambda suffix: suffix.removeprefix(".") or "agora_analytics")
def test_every_public_name_is_documented_once(suffix):
    for extra in ("duckdb", "deltalake", "starlette", "ariadne", "aiohttp", "jwt"):
        pytest.importorskip(extra)
    module = importlib.import_module(f"agora_analytics{suffix}")
    entries = [(page, path.rpartition(".")[2], value) for page, path, value in documented()]
    for name in public_names(module):
        value = getattr(module, name)
        pages = [page for page, entry, found in entries if entry == name and found is value]
        assert len(pages) == 1, f"{module.__name__}.{name} is on {pages or 'no page'} of docs/reference"


def test_values_of_the_reference_have_docstrings():
    """Without one, the page shows the docstring of the value's type."""
    without = []
    for page in REFERENCE:
        for path in re.findall(r"^\.\. autodata:: (\S+)$", page.read_text(), re.MULTILINE):
            module, _, name = path.rpartition(".")
            folder = ROOT / module.replace(".", "/")
            source = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
            body = ast.parse(source.read_text()).body
            documented = [
                ast.unparse(value).split(":")[0].split(" =")[0]
                for value, text in pairwise(body)
                if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            ]
            without += [path] if name not in documented else []
    assert not without


def headings(page):
    """The anchors of a page, as repository hosts and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def prose(source):
    """The text of a module in one line, without the marks of comments."""
    return re.sub(r"\s+(# )?", " ", source.read_text())


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "agora_analytics")))
def test_citations_name_pages_that_exist(source):
    text = prose(source)
    assert not re.findall(r"[Ss]ections? \d+", text), "a number is no heading"
    for page, heading in re.findall(r"([\w/.-]+\.md)(?:#([\w-]+))?", text):
        assert page.startswith("docs/"), f"{page} is not shipped"
        assert (ROOT / page).is_file(), page
        assert not heading or heading in headings(ROOT / page), f"{page}#{heading}"


def test_vendor_documents_are_described():
    """`Source: Agora, "Signaling REST API", "Event APIs"` is the heading "Event APIs" of the page of that document."""
    pages = {page: page.read_text() for page in VENDORS.glob("*.md") if page.name != "index.md"}
    cited = [
        (source.name, citation)
        for source in SOURCES
        for citation in re.findall(
            r'Source(?: of every row)?: (?:[A-Z]\w+(?: Cloud)?, )?("[^"]+"(?:(?:, | and )"[^"]+"|,? \(2021\))*)',
            prose(source),
        )
    ]
    assert len(cited) > 40
    for source, citation in cited:
        document, *sections = re.findall(r'"([^"]+)"', citation)
        (page,) = [page for page, text in pages.items() if f'"{document}"' in text.split("\n## ")[0]]
        for section in sections:
            titles = re.findall(r"^## (.+)$", pages[page], re.MULTILINE)
            assert section in titles, f"{source} cites {document}, {section}; {page.name} has no such heading"


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda page: page.name,
)
def test_links_lead_to_headings(page):
    for target, heading in re.findall(r"\]\(([^)#\s]*)#([\w-]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert heading in headings(page.parent / target if target else page), f"{target}#{heading}"
