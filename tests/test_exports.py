"""Whatever a public parameter takes or a public method returns can be imported from a public package."""

import ast
import inspect
import subprocess
import sys
import typing
from functools import cached_property
from importlib import import_module

import pytest

import agora_analytics

PACKAGES = ["agora_analytics", *(f"agora_analytics.{name}" for name in ("opentok", "signaling", "apsaravideo"))]
PACKAGES += ["agora_analytics.agora.beta", "agora_analytics.store", "agora_analytics.harvest", "agora_analytics.blocking"]
"""A name of one vendor, and a blocking twin, may be public in a package of its own only."""


def public_names() -> dict[str, set[object]]:
    names: dict[str, set[object]] = {}
    for package in map(import_module, PACKAGES):
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
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
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


if __name__ == "__main__":
    names = public_names()
    missing = {}
    for package in map(import_module, PACKAGES):
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isclass(value) or inspect.isfunction(value) or typing.is_typeddict(value):
                for where, annotation in annotations_of(value):
                    for each in named_types(annotation):
                        n = each if isinstance(each, str) else each.__name__
                        ok = n in names and (isinstance(each, str) or id(each) in names[n])
                        if not ok:
                            missing.setdefault((n, getattr(each, "__module__", "")), set()).add(f"{package.__name__.partition('.')[2]}:{where}")
    for k, v in sorted(missing.items(), key=str):
        print(k, sorted(v)[:4])
