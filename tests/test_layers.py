"""The layers of the package: which part may import which. Reads the source, so imports inside functions count too."""

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import agora_analytics

ROOT = Path(agora_analytics.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
VALUES = {"errors", "messages", "instants", "lazy", "logs"}
VENDORS = {"agora", "apsaravideo", "opentok", "signaling"}
FACTS = {"agora.plans", "agora.beta.limits", "apsaravideo.spec", "opentok.spec", "signaling.limits"}
# a vendor's metrics in common names: data without imports of its client
MAPPINGS = {"agora.metric_ids", "agora.common_metrics", "apsaravideo.spec", "opentok.spec"}

LAYERS = [
    VALUES | {"schemas", "testing"},
    {"core"},
    {"decode", "engine", "scoring"},
    {"kit"},
    {"agora"},
    {"apsaravideo", "opentok", "signaling"},
    {"simulator", "store"},
    {"harvest", "insight"},
    {"alerts", "blocking", "fleet"},
    {"integrations"},
    {"cli"},
]
"""All parts, from the lowest layer to the highest. A part imports only from lower layers and from itself."""

MAY_IMPORT = {
    "schemas": set(),
    "testing": VALUES,
    "core": VALUES,
    "decode": {"core"} | VALUES,
    "scoring": {"core"} | VALUES,
    "engine": {"core"} | VALUES,
    "kit": {"engine", "core"} | VALUES,
    "agora": {"kit", "engine", "decode", "core", "schemas"} | VALUES,
    "opentok": {"kit", "engine", "core", "schemas"} | VALUES,
    "apsaravideo": {"kit", "engine", "core", "schemas"} | VALUES,
    "signaling": {"agora", "kit", "engine", "core"} | VALUES,
    "store": {"schemas", "scoring", "core.base_url", "core.common_metrics", "core.record"}
    | MAPPINGS
    | VALUES,
    "simulator": {"core.limits"} | FACTS | VALUES,
    "insight": {"store", "scoring", "core", "schemas", "agora.operations"} | MAPPINGS | VALUES,
    "harvest": {"store", "kit", "engine", "decode", "core", "schemas"} | VENDORS | VALUES,
    "fleet": {"harvest", "store", "kit", "engine", "core"} | VENDORS | VALUES,
    "blocking": {"harvest", "store", "kit", "engine", "core"} | VENDORS | VALUES,
}
"""The parts that need less than all lower layers."""

# A vendor's own term, which the other vendors use too. One reason for each.
SHARED_CLASS_NAMES = {
    "Session": "a user's stay in a call at Agora, and a room at OpenTok: both vendors' documents use the word",
}
EFFECTS = {"asyncio", "anyio", "time", "random", "socket", "httpx", "requests", "aiohttp", "threading"}
HTTP_LIBRARIES = {"httpx", "httpx2", "httpcore", "requests", "aiohttp", "urllib3", "http"}
SERVERS = ("psycopg", "psycopg_pool", "redis", "procrastinate", "deltalake", "obstore")
"""The libraries of what is not on this machine: ledgers on a server, the queue, buckets."""
HEAVY = (
    *("httpx", "pyarrow", "duckdb", "numpy", "typer", "attrs", "cattrs", "msgspec", "asyncio", "starlette"),
    *SERVERS,
)
VAGUE = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc"}


def module_name(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")


def top(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


@cache
def imports(path: Path) -> set[str]:
    """Return every module that a file imports at run time, at any depth."""
    modules: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
        nodes += node.orelse if is_for_types(node) else ast.iter_child_nodes(node)
    return modules


def own_imports(path: Path) -> set[str]:
    prefix = "agora_analytics."
    return {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)} - {"__version__"}


def is_within(name: str, allowed: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in allowed)


def parts() -> set[str]:
    return {top(module_name(path)) for path in MODULES} - {"__init__", "__main__"}


def imported_parts() -> dict[str, set[str]]:
    """Return the other parts that each part imports."""
    graph = defaultdict(set)
    for path in MODULES:
        part = top(module_name(path))
        graph[part] |= {top(name) for name in own_imports(path)} & parts() - {part}
    return graph


def test_imports_are_found_at_any_depth():
    assert {"core.windows", "engine.transports.httpx", "agora.client"} <= set(map(module_name, MODULES))
    assert "httpx" in imports(ROOT / "engine/transports/httpx.py")  # inside its functions


def test_every_part_has_a_layer():
    assert parts() == set().union(*LAYERS), "add the new part to LAYERS"


@pytest.mark.parametrize("level", range(len(LAYERS)))
def test_imports_point_down(level):
    lower = set().union(*LAYERS[:level])
    for part in LAYERS[level]:
        allowed = MAY_IMPORT.get(part, VALUES if part in VALUES else lower)
        assert {top(name) for name in allowed} - VALUES <= lower
        wrong = {
            f"{module_name(path)} -> {name}"
            for path in MODULES
            if top(module_name(path)) == part
            for name in own_imports(path)
            if not is_within(name, allowed | {part})
        }
        assert wrong == set()


def test_there_is_no_cycle_between_folders():
    graph = imported_parts()
    while leaves := {part for part in graph if not graph[part]}:
        graph = {part: graph[part] - leaves for part in graph.keys() - leaves}
    assert graph == {}, "each of these parts imports another one of them, or a part that does"


def test_each_class_name_is_defined_once():
    """The blocking twins have the names of the async clients' companions, and the simulator is a separate program."""
    definitions = defaultdict(list)
    for path in MODULES:
        if top(module_name(path)) not in {"blocking", "simulator"}:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    definitions[node.name].append(module_name(path))
    duplicates = {name: modules for name, modules in definitions.items() if len(modules) > 1}
    assert {name: modules for name, modules in duplicates.items() if name not in SHARED_CLASS_NAMES} == {}


def test_only_the_command_line_imports_the_command_line():
    importers = {top(module_name(path)) for path in MODULES if "cli" in map(top, own_imports(path))}
    assert importers <= {"cli", "__main__"}


def test_the_core_is_pure():
    wrong = {
        f"{module_name(path)} -> {name}"
        for path in MODULES
        if top(module_name(path)) == "core"
        for name in imports(path)
        if top(name) in EFFECTS
    }
    assert wrong == set()


def test_only_transports_import_an_http_library():
    importers = {
        module_name(path) for path in MODULES if any(top(name) in HTTP_LIBRARIES for name in imports(path))
    }
    # the command line may create its own HTTP client, as any user may
    assert {name for name in importers if not name.startswith(("engine.transports.", "cli."))} == set()


def test_no_module_is_longer_than_400_lines():
    long = {module_name(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_no_module_has_a_vague_name():
    assert {
        module_name(path) for path in MODULES if VAGUE & set(module_name(path).lstrip("_").split("."))
    } == set()


def loaded_modules(statements: str) -> set[str]:
    script = f"import sys\nbefore = set(sys.modules)\n{statements}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def loaded_by(statements: str) -> set[str]:
    return {top(name) for name in loaded_modules(statements)}


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import agora_analytics") & set(HEAVY) == set()


def test_commands_load_the_libraries_of_servers_when_they_run():
    pytest.importorskip("typer")
    assert loaded_by("import agora_analytics.cli.app") & set(SERVERS) == set()


def test_a_folder_is_harvested_and_read_without_the_libraries_of_servers(tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("duckdb")
    folder = str(tmp_path / "calls")
    loaded = loaded_by(
        "from agora_analytics import AsyncAgora, harvest, open_ledger, open_store\n"
        f"open_ledger({str(tmp_path / 'ledger')!r})\n"
        f"open_store({folder!r}, create=True).sql('from calls').fetchall()"
    )
    assert loaded & set(SERVERS) == set()


@pytest.mark.parametrize(
    "client", ["AsyncAgora", "AsyncAgoraBeta", "AsyncSignaling", "AsyncOpenTok", "AsyncApsaraVideo"]
)
def test_a_client_is_imported_without_any_extra_or_http_library(client):
    loaded = loaded_by(f"from agora_analytics import {client}")
    extras = {"pyarrow", "duckdb", "numpy", "simdjson", "typer", "rich", "graphql", "jwt", "starlette"}
    assert loaded & (extras | {"httpx", "aiohttp", "cattrs"}) == set()


def test_importing_the_agora_client_loads_no_library_but_attrs():
    """A client is cheap to import: the engine is loaded when one is created, a parser at the first listing."""
    loaded = loaded_by("from agora_analytics import AsyncAgora")
    slow = {"asyncio", "ssl", "socket", "logging", "sqlite3", "hashlib", "json", "email", "http"}
    assert loaded & (set(HEAVY) - {"attrs"} | slow | {"anyio", "aiolimiter", "platformdirs"}) == set()


FIRST_REQUEST = """
import asyncio
from agora_analytics import AsyncAgora
class Ready:
    async def send(self, request): raise KeyboardInterrupt
    async def aclose(self): pass
async def first_page():
    await anext(aiter(AsyncAgora("id", "secret", app_id="app", transport=Ready()).calls("1h")))
try:
    asyncio.run(first_page())
except KeyboardInterrupt:
    pass
"""


def test_the_first_request_needs_no_lenient_reader_and_no_queries():
    modules = loaded_modules(FIRST_REQUEST)
    assert not modules & {"cattrs", "pyarrow", "duckdb", "numpy"}
    assert not modules & {f"agora_analytics.agora.{name}" for name in ("insights", "realtime", "queries")}
