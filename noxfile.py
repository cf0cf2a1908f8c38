"""`nox` runs everything that CI runs; `nox -s NAME` one session; `nox -l` lists them."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import nox
from nox import virtualenv

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests", "core_only", "compat", "api", "wheel", "docs"]
nox.options.error_on_missing_interpreters = True
# uv installs an environment in a quarter of pip's time, and the sessions install most packages several times.
nox.options.default_venv_backend = "uv|virtualenv"
# As pip and browsers do; without it, uv trusts none of the authorities that a company's proxy needs.
os.environ.setdefault("UV_SYSTEM_CERTS", "1")

# Most modules of an environment are never imported, and compiling them takes half of an installation's CPU time. Python
# compiles the others at their first import. uv compiles none.
os.environ.setdefault("PIP_COMPILE", "0")
# Container images often set this. Then every process of every test would compile what it imports again, and pytest would
# rewrite the assertions of all tests in each of its processes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system of Linux; pytest makes folders there that only the user can read
if os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > 4 << 30:
    # Tests write thousands of small files and flush each of them to its disk, as a store must.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))

PROJECT = nox.project.load_toml("pyproject.toml")
GROUPS = PROJECT["dependency-groups"]
PYTHONS = nox.project.python_versions(PROJECT)
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SIDE_BY_SIDE = ("-n", str(min(CORES + 2, 4)), "--dist", "loadfile", "--no-loadscope-reorder")
"""Two processes more than cores, because tests with servers and processes of their own wait for them. The tests of a file stay together,
because they share expensive fixtures. xdist would start files with few tests last, which are often the longest;
`tests/conftest.py` has their order."""
EVERYTHING = ("-m", "")
"""Includes the slow tests: plain `pytest` leaves them out (`addopts` in pyproject.toml), and the last `-m` counts."""
LONG = (
    "tests/benchmarks",
    "tests/blocking/test_processes.py",
    "tests/bucket",
    "tests/cli",
    "tests/documents",
    "tests/faults/test_matrix.py",
    "tests/fleet",
    "tests/insight/report",
    "tests/integrations/dlt",
    "tests/integrations/grafana",
    "tests/integrations/mcp",
    "tests/insight/test_compare.py",
    "tests/insight/test_scores.py",
    "tests/simulator/impairments/test_planted_calls.py",
    "tests/store/test_rollup_files.py",
    "tests/store/test_rollups.py",
    "tests/store/test_score_hours.py",
    *(f"tests/test_{name}.py" for name in ("docs", "docstrings", "exports", "layers", "project", "site")),
)
"""More than half of the time of the fast tests: in servers, in processes of commands, in reading the source, and in arithmetic of DuckDB
and numpy, which is the same on every Python. `nox -s compat` leaves them to the Python that runs nox, unless `--all-pythons` asks for
everything."""
QUIET = ("-q", "--no-header", "-p", "no:cacheprovider")


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and lint."""
    session.install(*GROUPS["lint"])
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def lock(session: nox.Session) -> None:
    """`uv.lock` is up to date with pyproject.toml; `nox -s lock -- --upgrade` locks the newest versions."""
    session.install(*GROUPS["lock"])
    session.run("uv", "lock", *(session.posargs or ["--check"]))


@nox.session
def types(session: nox.Session) -> None:
    """The package with mypy --strict; the public face, as users use it, with mypy and pyright."""
    session.install("-e", ".[all]", *GROUPS["types"], *GROUPS["test"], *GROUPS["integrations"])
    session.run("mypy")
    session.run("pyright")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, with every extra, on the Python that runs nox."""
    session.install("-e", ".[all]", *GROUPS["test"], *GROUPS["integrations"], *GROUPS["services"])
    if sys.platform == "linux":
        session.env["NEEDS_SERVICES"] = "1"  # a missing server is a failure, not a skipped test
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, *EVERYTHING, *session.posargs)


@nox.session
def fleet(session: nox.Session) -> None:
    """The measurements of several workers, with real servers: one after the other, because they measure times."""
    session.install("-e", ".[all]", *GROUPS["test"], *GROUPS["integrations"], *GROUPS["services"])
    session.env["NEEDS_SERVICES"] = "1"
    session.run("python", "-m", "pytest", "-m", "fleet", *session.posargs)


@nox.session
def core_only(session: nox.Session) -> None:
    """The fast tests that need no extra, with no extra installed: proves that the extras are optional."""
    session.install("-e", ".", *GROUPS["test"])
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, *QUIET, *session.posargs)


@nox.session(python=False)
def compat(session: nox.Session) -> None:
    """The fast tests but the longest, with every extra, on the newest other Python that is installed.

    `nox -s compat -- --all-pythons` runs all fast tests on each one. Further options are those of pytest.
    """
    options = argparse.ArgumentParser(prog="nox -s compat --")
    options.add_argument("--all-pythons", action="store_true")
    chosen, others = options.parse_known_args(session.posargs)
    installed = {version: _installed(version) for version in PYTHONS if version != RUNNING}
    tested = [version for version, python in installed.items() if python is not None]
    if not chosen.all_pythons:
        tested = tested[-1:]  # `PYTHONS` is in ascending order
    for version in tested:
        requirements = ("-e", ".[all]", *GROUPS["test"], *GROUPS["integrations"])
        left_out = () if chosen.all_pythons else (f"--ignore={path}" for path in LONG)
        options_of_pytest = (*left_out, *others)
        _run_in_venv(session, f"compat-{version}", installed[version], requirements, options_of_pytest)
    for version in installed.keys() - set(tested):
        reason = "needs --all-pythons" if installed[version] else "not installed"
        session.warn(f"skipped Python {version}: {reason}")
    session.log(f"tested Python {', '.join(tested) or 'none'}; {RUNNING} is tested by the session `tests`")


@nox.session(python=False)
def lowest(session: nox.Session) -> None:
    """The fast tests on the lowest supported Python with the lowest supported version of every dependency."""
    python = _installed(PYTHONS[0])
    if python is None:
        session.skip(f"Python {PYTHONS[0]} is not installed")
    # httpx2 needs a newer anyio than this library; its tests are skipped without it
    tools = [tool for tool in (*GROUPS["test"], *GROUPS["integrations"]) if not tool.startswith("httpx2")]
    constraints = ("-c", "tests/lowest-versions.txt")
    _run_in_venv(session, "lowest", python, ("-e", ".[all]", *tools, *constraints), session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """All tests with line coverage, which must not fall below `fail_under` in pyproject.toml."""
    session.install("-e", ".[all]", *GROUPS["test"], *GROUPS["integrations"], *GROUPS["coverage"])
    measured = ("--cov", "--cov-report=term:skip-covered", "--cov-report=xml")
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, *EVERYTHING, *measured, *session.posargs)


@nox.session
def worlds(session: nox.Session) -> None:
    """Worlds with new seeds: `nox -s worlds -- --count 2000`. The seeds are derived from the commit, or `--seed` names the first."""
    session.install("-e", ".[all]", *GROUPS["test"])
    options = argparse.ArgumentParser(prog="nox -s worlds --")
    options.add_argument("--count", type=int, default=2_000)
    options.add_argument("--seed", type=int, default=_seed_of_commit())
    chosen, others = options.parse_known_args(session.posargs)
    session.run("python", "-m", "tests.worlds", str(chosen.seed), str(chosen.count), *others)


@nox.session
def api(session: nox.Session) -> None:
    """The public names and signatures are compatible with the last release."""
    tag = _last_tag()
    if tag is None:
        session.log("there is no release tag yet, so there is nothing to compare the public interface with")
        return
    session.install(*GROUPS["api"])
    session.run("griffe", "check", "agora_analytics", "--against", tag)


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel, as a user installs it, runs the main job."""
    built = Path(tempfile.mkdtemp())
    session.install("build[uv]")
    session.run("python", "-m", "build", "--installer", "uv", "--wheel", "--outdir", str(built), silent=True)
    (file,) = built.glob("*.whl")
    session.install(f"{file}[all]")
    session.chdir(built)
    session.run("agora-analytics", "--version")
    session.run("agora-analytics", "demo", "--calls", "30", "--out", str(built / "demo"))


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site in docs/_build. A broken link, a wrong reference and any other warning is an error."""
    session.install("-e", ".[all]", *GROUPS["docs"])
    strict = ("-W", "--keep-going", "--nitpicky", "--fresh-env", "-q")
    session.run("python", "-m", "sphinx", "-b", "html", *strict, "docs", "docs/_build", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of all dependencies. Asks a database on the network, so it runs where there is one."""
    session.install("-e", ".[all]", "pip-audit")
    session.run("pip-audit", "--skip-editable", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark; each prints ratios to named peers of the same run."""
    session.install("-e", ".[all]", *GROUPS["test"], *GROUPS["bench"])
    for program in sorted(Path("benchmarks").glob("[a-z]*.py")):
        if program.stem != "measure":
            session.run("python", "-m", f"benchmarks.{program.stem}", *session.posargs)


def _seed_of_commit() -> int:
    """Return the first seed of the current commit, so that each commit runs other worlds; 0 outside a git repository."""
    command = ["git", "rev-parse", "--short=8", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(commit[:8], 16)


def _last_tag() -> str | None:
    """Return the newest release tag before this commit; None without one, or outside a git repository."""
    command = ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _run_in_venv(
    session: nox.Session, name: str, python: str, requirements: Sequence[str], options: Sequence[str]
) -> None:
    """Install into a new virtual environment of another Python, and run the fast tests there with options of pytest."""
    folder = Path(session.cache_dir, name).absolute()
    own = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    make: tuple[str, ...] = (python, "-m", "venv")
    install: tuple[str, ...] = (own, "-m", "pip", "install")
    if virtualenv.HAS_UV:
        make = (virtualenv.UV, "venv", "-q", "-p", python)
        install = (virtualenv.UV, "pip", "install", "-p", own)
    session.run(*make, "--clear", str(folder), external=True)
    session.run(*install, "-q", *requirements, external=True)
    session.run(own, "-m", "pytest", *SIDE_BY_SIDE, *QUIET, *options, external=True)


def _installed(version: str) -> str | None:
    """Return the path of an interpreter of that version; None if none is installed."""
    for candidate in _candidates(version):
        report = "import sys; print('{}.{}'.format(*sys.version_info), sys.executable)"
        try:
            answer = subprocess.run([*candidate, "-c", report], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):  # a pyenv shim of a version that is not selected
            continue
        found, _, executable = answer.stdout.strip().partition(" ")
        if found == version:
            return executable
    return None


def _candidates(version: str) -> Iterator[list[str]]:
    if version == RUNNING:
        yield [sys.executable]
    for folder in os.get_exec_path():
        if path := shutil.which(f"python{version}", path=folder):
            yield [path]
    if sys.platform == "win32":
        yield ["py", f"-{version}"]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"), key=_release, reverse=True):
        yield [str(path)]


def _release(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parts[-3])]
