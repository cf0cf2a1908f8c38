"""Makes docstrings read well on the site: citations and names become links, examples become code."""

import re
from typing import Any

from attrs import Factory, fields, has
from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

from _site.public_names import MODULES

CITATION = re.compile(r"`*docs/([\w/-]+)\.md(?:#([\w-]+))?`*")
_PRETTY = {"variable": "Attributes"}
_COLON = "\ue000"
_ATTRS_DEFAULT = re.compile(r"attr_dict\['(\w+)'\]\.default")
_QUALIFIED = re.compile(r"(?<![\w.~])(?:[a-z_]\w*\.)+[A-Z]\w*")
CREATED_BY_THE_LIBRARY = {"Pages", "Insights", "Realtime", "Follow"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Rewrite docstrings before napoleon reads them, and give single backticks a meaning."""
    from sphinx.domains.python import PyObject

    for field in PyObject.doc_field_types:
        field.label = _PRETTY.get(field.name, field.label)
    app.add_role("name", _name)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=900)
    app.connect("autodoc-process-signature", _readable_signature)
    app.connect("missing-reference", _resolve_name)
    return {"parallel_read_safe": True}


def _before_napoleon(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    if what in {"attribute", "data", "property"} and lines:
        # napoleon takes the text before a colon for a type
        lines[0] = lines[0].replace(":", _COLON, 1)
    lines[:] = [CITATION.sub(_link, line) for line in _examples_as_code(lines)]


def _after_napoleon(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    lines[:] = [line.replace(_COLON, ":") for line in lines]
    for at, line in enumerate(lines):
        if line.startswith(":vartype "):
            lines[at] = _QUALIFIED.sub(r"~\g<0>", line)


def _readable_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: object, signature: str | None, returned: str | None
) -> tuple[str, None] | None:
    """Hide the constructors that only the library calls; show the defaults of attrs classes."""
    if what == "exception" or name.rpartition(".")[2] in CREATED_BY_THE_LIBRARY:
        return "", None
    if signature is None or not has(obj):
        return None
    return _ATTRS_DEFAULT.sub(lambda match: _default(obj, match[1]), signature), None


def _default(record: Any, name: str) -> str:
    default = getattr(fields(record), name).default
    return "..." if isinstance(default, Factory) else repr(default)


def _examples_as_code(lines: list[str]) -> list[str]:
    """Return the lines with the indented block after `Example:` as a block of Python code."""
    result: list[str] = []
    margin: int | None = None
    for line in lines:
        if margin is not None and line.strip() and len(line) - len(line.lstrip()) <= margin:
            margin = None
        result.append(line if margin is None else f"    {line}")
        if line.strip() == "Example:":
            margin = len(line) - len(line.lstrip())
            result += [f"{' ' * margin}    .. code-block:: python", ""]
    return result


def _link(match: re.Match[str]) -> str:
    page, heading = match.groups()
    return f":doc:`/{page}`" if heading is None else f":any:`{heading} </{page}.md#{heading}>`"


def _name(
    role: str,
    rawtext: str,
    text: str,
    lineno: int,
    inliner: Inliner,
    options: Any = None,
    content: Any = None,
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Return a reference that becomes a link if the text is a name of the API reference, and else stays code."""
    env = inliner.document.settings.env
    code = nodes.literal(rawtext, text, classes=["xref", "py"])
    if not re.fullmatch(r"[A-Za-z_][\w.]*(\(\))?", text):
        return [nodes.literal(rawtext, text)], []
    # The class of a docstring: `agora_analytics.AsyncAgora` for its methods too.
    scope = ".".join(
        part for part in (env.ref_context.get("py:module"), env.ref_context.get("py:class")) if part
    )
    return [pending_xref(rawtext, code, reftype="name", reftarget=text, scope=scope, refdoc=env.docname)], []


def _resolve_name(app: Sphinx, env: Any, node: pending_xref, content: nodes.Element) -> nodes.Node | None:
    if node["reftype"] != "name":
        return None
    objects, name = env.domains.python_domain.objects, node["reftarget"].removesuffix("()")
    outer, _, _ = node["scope"].rpartition(".")
    exact = [f"{prefix}.{name}" for prefix in (node["scope"], outer, *MODULES)]
    alike = [path for path in objects if name[0].isupper() and path.endswith(f".{name}")]
    for path in (*exact, *(alike if len(alike) == 1 else ())):
        if found := objects.get(path):
            return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, [content])
    return nodes.literal("", content.astext())
