"""The documents say what the code does: columns, snippets, links and commands."""

import ast
import importlib
import re
from pathlib import Path
from textwrap import dedent

import pytest

from agora_analytics.core.common_metrics import COMMON_METRICS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_snippets_are_python(page):
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        compile(dedent(snippet), page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_of_the_snippets_work(page):
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for statement in ast.parse(dedent(snippet)).body:
            if isinstance(statement, ast.ImportFrom) and statement.module.startswith("agora_analytics"):
                pytest.importorskip("duckdb")
                module = importlib.import_module(statement.module)
                assert [name.name for name in statement.names if not hasattr(module, name.name)] == []


def test_every_column_of_the_tables_is_documented():
    schemas = pytest.importorskip("agora_analytics.schemas")
    page = (ROOT / "docs" / "tables.md").read_text()
    for table in (*schemas.TABLES, *schemas.VIEWS):
        section = re.split(r"\n## |```sql", page.split(f"## `{table}`")[1])[0]
        documented = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", section, re.MULTILINE)
        schema = schemas.VIEWS.get(table) or schemas.table_schema(table)
        assert documented == [
            (field.name, str(field.type), field.metadata[b"description"].decode()) for field in schema
        ]


def test_every_limit_of_the_rollups_is_documented():
    """In the order of the columns `beyond_1`, `beyond_2`, ..."""
    thresholds = pytest.importorskip("agora_analytics.store.rollups.thresholds").THRESHOLDS
    section = (ROOT / "docs" / "rollups.md").read_text().split("## Any profile")[1].split("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))
    signs = {("above", False): ">", ("above", True): ">=", ("below", False): "<", ("below", True): "<="}
    assert documented == {
        metric: ", ".join(
            f"{signs[limit.direction, limit.inclusive]} {limit.value:g}{' of the time' * limit.share_of_time}"
            for limit in limits
        )
        for metric, limits in thresholds.items()
    }


def test_columns_of_samples_are_documented():
    schemas = pytest.importorskip("agora_analytics.schemas")
    section = (
        (ROOT / "docs" / "tables.md").read_text().split("### Samples with names and units")[1].split("###")[0]
    )
    more = [field for field in schemas.SAMPLES if field.name not in schemas.METRICS.names]
    assert re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE) == [
        (field.name, str(field.type).replace(", ordered=0", ""), field.metadata[b"description"].decode())
        for field in more
    ]


def test_the_gate_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    command = re.search(r"<!-- tests -->\n```console\n\$ (.+)\n```", readme)
    assert command is not None
    assert "nox" in command[1]
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


def test_every_common_metric_is_documented_with_what_becomes_it():
    quality = pytest.importorskip("agora_analytics.store.quality")
    section = (ROOT / "docs" / "tables.md").read_text().split("## `quality`")[1].split("\n## ")[0]
    rows = {
        row[0]: row[1:]
        for row in re.findall(r"^\| `(\w+)` \| (\S+) \| [^|]+ \|(.*)\|$", section, re.MULTILINE)
    }
    assert {name: unit for name, (unit, _) in rows.items()} == {
        name: unit for name, (unit, _) in COMMON_METRICS.items()
    }
    for mapping in quality.MAPPINGS.values():
        for source, target in mapping.items():
            assert f"`{source}`" in rows[target.metric][1]


def test_where_things_are_names_files_that_exist():
    page = (ROOT / "docs" / "contributing" / "architecture.md").read_text()
    rows = re.findall(r"^\| (Where [^|]+\?) \| `([^`]+)` \|$", page, re.MULTILINE)
    assert len(rows) >= 24
    assert [path for _, path in rows if not (ROOT / path).is_file()] == []


def test_the_glossary_names_files_that_exist():
    page = (ROOT / "docs" / "glossary.md").read_text()
    paths = re.findall(r"`([\w/]+\.py)`", page)
    assert [path for path in paths if not (ROOT / "agora_analytics" / path).is_file()] == []
