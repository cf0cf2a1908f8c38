"""Whatever a public parameter takes or a public method returns can be imported from a public package."""

import ast
import builtins
import collections.abc
import inspect
import typing
from functools import cached_property
from importlib import import_module

import pytest

import agora_analytics

pytest.importorskip("pyarrow")
pytest.importorskip("deltalake")
pytest.importorskip("duckdb")
pytest.importorskip("graphql")
pytest.importorskip("jwt")

PARTS = ("agora.beta", "apsaravideo", "blocking", "harvest", "insight", "opentok", "signaling", "store")
PACKAGES = [agora_analytics, *(import_module(f"agora_analytics.{name}") for name in PARTS)]
"""A name of one vendor, and a blocking twin, may be public in a package of its own only."""
INTERNAL = {
    # constructors that the library calls
    *("Pages.__init__", "Insights.__init__", "Realtime.__init__", "Follow.__init__", "Grant.__init__"),
    *("StoreWriter.__init__", "BucketStore.__init__"),
    # between parts of the engine
    *(
        "RetryPolicy.attempts_for",
        "RetryPolicy.of_call",
        "Settings.host_table",
    ),
}
FAMILIAR = {
    *dir(builtins),
    *typing.__all__,
    *collections.abc.__all__,
    "httpx",
    "httpx2",
    "pa",
    "pd",
    "pl",
    "ds",
}


def public_names() -> dict[str, set[object]]:
    names: dict[str, set[object]] = {}
    for package in PACKAGES:
        for name in package.__all__:
            value = getattr(package, name)
            names.setdefault(name, set()).add(id(value))
    return names


def named_types(annotation: object) -> set[object]:
    """Return the names (of a string) and the classes of this package that an annotation contains."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        tree = ast.parse(annotation, mode="eval")
        texts = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | set(texts)
    found: set[object] = set()
    if inspect.isclass(annotation) and annotation.__module__.startswith("agora_analytics"):
        found.add(annotation)
    for inner in typing.get_args(annotation):
        for each in inner if isinstance(inner, list) else [inner]:
            found |= named_types(each) if not isinstance(each, str) else set()
    return found


def annotations_of(value: object) -> list[tuple[str, object]]:
    """Return the annotations that a caller meets: of parameters, results, properties and options."""
    found: list[tuple[str, object]] = []
    if typing.is_typeddict(value):
        return [(f"{value.__name__}.{key}", each) for key, each in value.__annotations__.items()]
    members = {"": value} if not inspect.isclass(value) else dict(inspect.getmembers_static(value))
    for name, member in members.items():
        if name.startswith("_") and name != "__init__":
            continue
        function = member
        if isinstance(member, property):
            function = member.fget
        elif isinstance(member, cached_property):
            function = member.func
        elif isinstance(member, classmethod | staticmethod):
            function = member.__func__
        if not inspect.isfunction(function):
            continue
        signature = inspect.signature(function)
        each = [parameter.annotation for parameter in signature.parameters.values()]
        where = f"{getattr(value, '__name__', value)}.{name}"
        found += [(where, annotation) for annotation in (*each, signature.return_annotation)]
    return found


def places() -> list[tuple[str, object]]:
    """Return every annotation of every public class and function, with its place."""
    values = [getattr(package, name) for package in PACKAGES for name in package.__all__]
    kinds = [each for each in values if inspect.isclass(each) or inspect.isfunction(each)]
    return [place for value in kinds for place in annotations_of(value)]


def test_every_type_of_a_public_signature_is_public():
    names = public_names()
    missing = set()
    for where, annotation in places():
        for each in named_types(annotation) - {None}:
            if where in INTERNAL or (isinstance(each, str) and each in FAMILIAR):
                continue
            name = each if isinstance(each, str) else each.__name__
            if name not in names or not (isinstance(each, str) or id(each) in names[name]):
                missing.add(f"{name} of {where}")
    assert sorted(missing) == []


def test_the_internal_places_exist():
    assert {where for where, _ in places()} >= INTERNAL
