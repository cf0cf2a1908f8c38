"""The layers of the house: who may import whom. Read from the source, so that imports inside functions count."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import agora_analytics

ROOT = Path(agora_analytics.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
VALUES = {"errors", "messages", "instants", "lazy"}
BESIDE = {"store", "decode"}
VENDORS = {"agora", "apsaravideo", "opentok", "signaling"}
FACTS = {"agora.plans", "agora.beta.limits", "apsaravideo.spec", "opentok.spec", "signaling.limits"}

MAY_IMPORT = {
    "errors": VALUES,
    "messages": VALUES,
    "instants": VALUES,
    "lazy": VALUES,
    "testing": VALUES,
    "core": {"core"} | VALUES,
    "engine": {"engine", "core"} | VALUES,
    "kit": {"kit", "engine", "core"} | VALUES,
    "agora": {"agora", "kit", "engine", "core"} | VALUES | BESIDE,
    "harvest": {"harvest", "kit", "engine", "core"} | VENDORS | VALUES | BESIDE,
    "opentok": {"opentok", "kit", "engine", "core"} | VALUES | BESIDE,
    "apsaravideo": {"apsaravideo", "kit", "engine", "core"} | VALUES | BESIDE,
    "blocking": {"blocking", "harvest", "kit", "engine", "core"} | VENDORS | VALUES | BESIDE,
    "signaling": {"signaling", "agora", "kit", "engine", "core"} | VALUES,
    "store": {"store", "agora.metric_ids"} | VALUES,
    "decode": {"decode", "core", "store.schemas"} | VALUES,
    "simulator": {"simulator", "core.limits"} | FACTS | VALUES,
}
EFFECTS = {"asyncio", "anyio", "time", "random", "socket", "httpx", "requests", "aiohttp", "threading"}
HTTP_LIBRARIES = {"httpx", "httpx2", "httpcore", "requests", "aiohttp", "urllib3", "http"}
HEAVY = ("httpx", "pyarrow", "duckdb", "numpy", "typer", "attrs", "cattrs", "msgspec", "asyncio", "starlette")
VAGUE = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc"}


def named(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")


def top(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imports(path: Path) -> set[str]:
    """Return every module that a file imports when it runs, at whatever depth."""
    found: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        nodes += node.orelse if is_for_types(node) else ast.iter_child_nodes(node)
    return found


def own(path: Path) -> set[str]:
    prefix = "agora_analytics."
    return {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}


def is_within(name: str, allowed: set[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in allowed)


def test_the_test_finds_the_modules():
    assert {"core.windows", "engine.transports.httpx", "agora.client"} <= set(map(named, MODULES))
    assert "httpx" in imports(ROOT / "engine/transports/httpx.py")  # inside its functions


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_point_down_only(layer):
    wrong = {
        f"{named(path)} -> {name}"
        for path in MODULES
        if top(named(path)) == layer
        for name in own(path)
        if not is_within(name, MAY_IMPORT[layer])
    }
    assert wrong == set()


def test_every_part_has_its_place_in_the_house():
    parts = {top(named(path)) for path in MODULES} - {"__init__", "__main__", "cli"}
    assert parts <= set(MAY_IMPORT), "give the new part a line in MAY_IMPORT"


def test_only_the_command_line_imports_the_command_line():
    importers = {top(named(path)) for path in MODULES if any(is_within(name, {"cli"}) for name in own(path))}
    assert importers <= {"cli", "__main__"}


def test_the_core_is_pure():
    wrong = {
        f"{named(path)} -> {name}"
        for path in MODULES
        if top(named(path)) == "core"
        for name in imports(path)
        if top(name) in EFFECTS
    }
    assert wrong == set()


def test_only_transports_name_an_http_library():
    namers = {named(path) for path in MODULES if any(top(name) in HTTP_LIBRARIES for name in imports(path))}
    # A way in may bring its own client, as any user may.
    assert {name for name in namers if not name.startswith(("engine.transports.", "cli."))} == set()


def test_no_module_is_longer_than_400_lines():
    long = {named(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_no_module_has_a_vague_name():
    assert {named(path) for path in MODULES if VAGUE & set(named(path).lstrip("_").split("."))} == set()


def loaded_by(statement: str) -> set[str]:
    script = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {top(name) for name in done.stdout.split()}


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import agora_analytics") & set(HEAVY) == set()


def test_the_client_is_imported_without_any_extra_or_http_library():
    loaded = loaded_by("from agora_analytics import AsyncAgora")
    assert loaded & {"httpx", "pyarrow", "duckdb", "numpy", "typer", "starlette", "uvicorn"} == set()
