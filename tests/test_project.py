"""The project's files agree with each other: workflows, classifiers, dependencies and decision records."""

import json
import os
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
WORKFLOWS = ROOT / ".github" / "workflows"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

pytestmark = pytest.mark.skipif(not WORKFLOWS.is_dir(), reason="a source distribution has no workflows")


def lower_bounds() -> set[tuple[str, str]]:
    """Return each dependency's name and lower bound, over all extras."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    listed = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    parts = (re.match(r"([\w-]+)(?:\[[\w,]+\])?(?:>=([\d.]+))?", line).groups() for line in listed)
    return {(name, version) for name, version in parts if name not in {"agora-analytics", "tzdata"}}


def test_lowest_versions_are_the_lower_bounds():
    """tzdata is data, so it has no bound."""
    lines = (ROOT / "tests" / "lowest-versions.txt").read_text().splitlines()
    tested = [tuple(line.split("==")) for line in lines if not line.startswith("#")]
    assert tested == sorted(tested)
    assert set(tested) == lower_bounds()


def names_of(lines: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", line)[0].lower() for line in lines}


def test_all_has_every_extra():
    extras = PROJECT["project"]["optional-dependencies"]
    (line,) = extras["all"]
    listed = re.fullmatch(r"agora-analytics\[([\w,]+)\]", line)[1].split(",")
    reached = {*listed, *re.findall(r"agora-analytics\[(\w+)\]", " ".join(chain(*map(extras.get, listed))))}
    reached |= set(re.findall(r"agora-analytics\[(\w+)\]", " ".join(extras["store"])))
    assert reached == extras.keys() - {"all"}


def test_the_readme_lists_the_extras_and_what_they_install():
    table = (ROOT / "README.md").read_text().partition("| extra | for | installs |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (?:`(\w+)`|\(none\)) \| .* \| ?(.*?) ?\|$", table, re.MULTILINE)
    named = {extra: cell.lower() for extra, cell in rows}
    expected = {"": PROJECT["project"]["dependencies"], **PROJECT["project"]["optional-dependencies"]}
    assert named.keys() == expected.keys()
    for extra in expected.keys() - {"all"}:
        names = set()
        for line in expected[extra]:
            own = re.fullmatch(r"agora-analytics\[(.*)\]", line)
            names |= set(own[1].split(",")) if own else names_of([line.replace("httpx[http2]", "h2")])
        assert {name for name in names if name not in named[extra]} == set(), extra


def test_the_lock_file_has_every_dependency():
    """`uv lock --check` compares all of it, but needs the index: see the session `lock`."""
    text = (ROOT / "uv.lock").read_text()
    lock = {package["name"]: package for package in tomllib.loads(text)["package"]}
    metadata = lock["agora-analytics"]["metadata"]
    project = PROJECT["project"]
    lines = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    wanted = {line for line in lines if not line.startswith("agora-analytics")}
    locked = {"": metadata["requires-dist"], **metadata["requires-dev"]}
    for group, requirements in ({"": wanted} | PROJECT["dependency-groups"]).items():
        expected = {(each.name.lower(), each.specifier) for each in map(Requirement, requirements)}
        found = {(each["name"], SpecifierSet(each.get("specifier", ""))) for each in locked[group]}
        assert found == expected, f"run `uv lock` ({group or 'the dependencies of the package'})"
    assert locked.keys() == {"", *PROJECT["dependency-groups"]}
    assert metadata["provides-extras"] == sorted(project["optional-dependencies"])
    assert all(name in lock for name in names_of(list(wanted)))


def test_the_lock_file_is_the_same_on_every_machine():
    hosts = set(re.findall(r"\w+://([^/\"]*)", (ROOT / "uv.lock").read_text()))
    assert hosts == {"files.pythonhosted.org", "pypi.org"}


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("arrow", "import pyarrow as pa; pa.scalar(1, pa.timestamp('us', 'UTC')).as_py()"),
        ("store", "import duckdb; duckdb.sql(\"SET TimeZone = 'UTC'; SELECT now()\").fetchall()"),
        (
            "opentok",
            "from agora_analytics.opentok.query_builders import pacific_midnight; pacific_midnight('2024-05-01')",
        ),
        ("simulator", "import starlette; import numpy; import agora_analytics.simulator.opentok.dates"),
    ],
)
def test_extras_that_use_time_zones_work_without_those_of_the_system(extra, code):
    extras = PROJECT["project"]["optional-dependencies"]
    needed = {*extras[extra], *(extras["arrow"] if "agora-analytics[arrow]" in extras[extra] else [])}
    assert "tzdata" in needed
    for name in re.findall(r"import (pyarrow|duckdb|starlette|numpy)", code):
        pytest.importorskip(name)
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONTZPATH": ""}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_ci_runs_on_every_python_of_the_classifiers():
    prefix = "Programming Language :: Python :: 3."
    classified = [
        f"3.{c.removeprefix(prefix)}" for c in PROJECT["project"]["classifiers"] if c.startswith(prefix)
    ]
    matrix = re.search(r"python: (\[.*\])", (WORKFLOWS / "ci.yml").read_text())
    assert json.loads(matrix[1]) == classified
    assert PROJECT["project"]["requires-python"] == f">={classified[0]}"


def test_ci_runs_every_session_that_nox_runs_by_default():
    sessions = set(json.loads(re.search(r"sessions = (\[.*\])", (ROOT / "noxfile.py").read_text())[1]))
    matrix = re.search(r"session: \[(.*)\]", (WORKFLOWS / "ci.yml").read_text())
    in_ci = {"tests", *matrix[1].split(", ")}
    assert sessions - in_ci == {"compat"}  # there, each Python has a job of its own


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_workflows_have_minimal_permissions_and_pinned_actions(workflow):
    text = workflow.read_text()
    assert "\npermissions: {}\n" in text
    actions = re.findall(r"uses: (\S+)", text)
    assert actions
    assert all(re.fullmatch(r"[\w./-]+@(v\d+|release/v\d+|[0-9a-f]{40})", action) for action in actions)
    assert text.count("uses: actions/checkout@") == text.count("persist-credentials: false")


def test_decision_records_are_numbered_and_in_the_index():
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
    index = re.findall(r"\((\d{4}-[\w-]+\.md)\)", (ROOT / "docs" / "decisions" / "README.md").read_text())
    assert index == [record.name for record in RECORDS]


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.name)
def test_decision_records_are_short_and_have_three_sections(record):
    text = record.read_text()
    assert re.findall(r"^#+ .*", text, re.MULTILINE) == [
        f"# {record.name[:4]}: {text.splitlines()[0].partition(': ')[2]}",
        "## Context",
        "## Decision",
        "## Consequences",
    ]
    assert len(text.splitlines()) <= 45
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (record.parent / target).exists(), target


def test_the_changelog_has_a_section_for_what_is_unreleased():
    sections = re.findall(r"^##+ (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Renamed"}
    assert all(name in kinds or name.startswith("[") for name in sections)
