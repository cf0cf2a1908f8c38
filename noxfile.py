"""`nox` runs everything that CI runs; `nox -s NAME` one session; `nox -l` lists them."""

import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "tests", "core_only", "wheel"]
nox.options.error_on_missing_interpreters = True

SIDE_BY_SIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile")
"""A process for each core; a file's tests stay together, for they share what is costly to make."""

GROUPS = nox.project.load_toml("pyproject.toml")["dependency-groups"]


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and lint."""
    session.install(*GROUPS["lint"])
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """The package with mypy --strict; the public face, as users use it, with mypy and pyright."""
    session.install("-e", ".[all]", *GROUPS["types"], *GROUPS["test"])
    session.run("mypy")
    session.run("pyright")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, with every extra."""
    session.install("-e", ".[all]", *GROUPS["test"])
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, *session.posargs)


@nox.session
def core_only(session: nox.Session) -> None:
    """What needs no extra, with no extra installed: proves that they are optional."""
    session.install("-e", ".", *GROUPS["test"])
    quiet = ("-q", "--no-header", "-p", "no:cacheprovider")
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, *quiet, *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel, as a user installs it, runs the main job."""
    built = Path(tempfile.mkdtemp())
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(built), silent=True)
    (file,) = built.glob("*.whl")
    session.install(f"{file}[all]")
    session.chdir(built)
    session.run("agora-analytics", "--version")
    session.run("agora-analytics", "demo", "--calls", "30", "--out", str(built / "demo"))


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of all dependencies. Asks a database on the network, so it runs where there is one."""
    session.install("-e", ".[all,http2]", "pip-audit")
    session.run("pip-audit", "--skip-editable", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark; each prints ratios to named peers of the same run."""
    session.install("-e", ".[all]", *GROUPS["test"], *GROUPS["bench"])
    for program in sorted(Path("benchmarks").glob("[a-z]*.py")):
        if program.stem != "measure":
            session.run("python", "-m", f"benchmarks.{program.stem}", *session.posargs)
