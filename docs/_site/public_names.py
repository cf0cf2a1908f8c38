"""Links a class to the name under which users import it.

A type hint names the module that defines a class, for example `agora_analytics.agora.records.Call`. The reference documents
`agora_analytics.Call`.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

MODULES = (
    "agora_analytics",
    "agora_analytics.blocking",
    "agora_analytics.simulator",
    "agora_analytics.testing",
    "agora_analytics.schemas",
    "agora_analytics.messages",
    "agora_analytics.errors",
    "agora_analytics.store",
    "agora_analytics.insight",
)


def public_names(module: str) -> list[str]:
    """Return the public names of a module: those of `__all__`, otherwise those that it defines and documents."""
    namespace = importlib.import_module(module)
    if hasattr(namespace, "__all__"):
        return list(namespace.__all__)
    return [
        name
        for name, value in vars(namespace).items()
        if not name.startswith("_") and _defined(namespace, name, value)
    ]


def _defined(namespace: Any, name: str, value: Any) -> bool:
    if inspect.isclass(value) or inspect.isfunction(value):
        return bool(value.__module__ == namespace.__name__)
    return name.isupper() and name != "UTC"


def homes() -> Iterator[tuple[str, str]]:
    """Yield the defining name and the public name of each class and function."""
    for module in MODULES:
        for name in public_names(module):
            value = getattr(importlib.import_module(module), name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{value.__module__}.{value.__qualname__}", f"{module}.{name}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Resolve references to defining names."""
    candidates: dict[str, list[str]] = {}
    for home, public in homes():
        candidates.setdefault(home, []).append(public)

    def resolve(
        app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Node
    ) -> nodes.Node | None:
        if node.get("refdomain") != "py":
            return None
        target = str(node.get("reftarget", ""))
        head, _, member = target.rpartition(".")
        names = [*candidates.get(target, ()), *(f"{name}.{member}" for name in candidates.get(head, ()))]
        domain = env.domains.python_domain
        for name in names:
            if found := domain.find_obj(env, None, None, name, None, 0):
                where = found[0][1]
                return _reference(app, node, content, where.docname, where.node_id)
        return None

    app.connect("doctree-read", _qualify)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True}


def _qualify(app: Sphinx, doctree: nodes.document) -> None:
    """Qualify the type hints that are imported for type checkers only: at run time, they are bare names."""
    for node in doctree.findall(pending_xref):
        module, name, target = node.get("py:module"), node.get("py:class"), node["reftarget"]
        if node.get("refdomain") == "py" and module and name:
            node["reftarget"] = _imports_of(module, name).get(target, target)


@lru_cache
def _imports_of(module: str, name: str) -> dict[str, str]:
    """Return the classes that the modules of a public class, its bases and its methods import from this package."""
    public = {home for home, _ in homes()}
    found: dict[str, str] = {}
    for source in _modules_of(getattr(importlib.import_module(module), name)):
        for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(source)))):
            if isinstance(node, ast.ImportFrom):
                imported = {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
                found |= {short: path for short, path in imported.items() if path in public}
    return found


def _modules_of(public: type) -> set[str]:
    """Return the modules of this package that define a class, its bases and its methods."""
    parts = [part for base in public.__mro__ for part in (base, *vars(base).values())]
    modules = {getattr(part, "__module__", None) or "" for part in parts}
    return {module for module in modules if module.startswith("agora_analytics")}


def _reference(app: Sphinx, node: pending_xref, content: nodes.Node, docname: str, anchor: str) -> nodes.Node:
    return make_refnode(app.builder, node["refdoc"], docname, anchor, [content], anchor)
