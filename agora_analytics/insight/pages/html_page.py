"""One HTML file with text, tables and charts. It loads nothing: the charts' library and data are in the file.

The charts are Vega-Lite, written with Altair, and vl-convert has the library that draws them. It adds 0.9 MB to a page; Plotly's
adds 4.8 MB. They are drawn as SVG in the colour of the text, so that they follow a dark or light theme and print well.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    import altair as alt
    from jinja2 import Environment

_SNIPPET = """
for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const spec = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
  vegaEmbed(figure.querySelector(".chart"), spec, {renderer: "svg", actions: false, ast: true})
    .catch(error => { figure.querySelector(".chart").textContent = "This chart cannot be drawn: " + error; throw error; });
}
"""
_CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor", "titleColor": "currentColor", "domainColor": "currentColor", "domainOpacity": 0.4,
        "tickColor": "currentColor", "tickOpacity": 0.4, "gridColor": "currentColor", "gridOpacity": 0.12,
        "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 11, "titleFontSize": 11,
        "titleFontWeight": "normal", "orient": "top",
    },
    "title": {"color": "currentColor"},
    "text": {"color": "currentColor"},
}  # fmt: skip
"""The look of all charts: everything but the marks has the colour of the page's text."""


@frozen
class PageChart:
    """A chart and the rows that its data sources name. Altair would check every row of data in the chart itself."""

    drawing: "alt.TopLevelMixin"
    rows: Mapping[str, Sequence[Mapping[str, Any]]]

    def spec(self) -> dict[str, Any]:
        """Return the specification of Vega-Lite."""
        spec: dict[str, Any] = self.drawing.to_dict()
        return spec | {"config": _CONFIG, "datasets": self.rows}


def load_libraries() -> None:
    """Import what pages need, so that a missing one is found before any data is fetched.

    Raises:
        ModuleNotFoundError: the extra `[insight]` is not installed.
    """
    for module in ("altair", "jinja2", "vl_convert"):
        import_module(module)


def render(template: str, charts: Mapping[str, PageChart], **values: Any) -> str:
    """Return a page.

    Args:
        template: the name of a template in the folder of this module.
        charts: the charts by name. The template places one with `{{ chart("name", "what it shows") }}`.
        values: what else the template needs. Texts in it are escaped.

    Raises:
        ModuleNotFoundError: the extra `[insight]` is not installed.
    """
    specs = {name: json_in_html(chart.spec()) for name, chart in charts.items()}
    return _environment().get_template(template).render(specs=specs, library=_library(), **values)


def json_in_html(value: Any) -> str:
    """Return JSON that may stand in a `script` element: no text in it can end the element.

    Example:
        >>> json_in_html({"channel": "</script>"})
        '{"channel": "\\\\u003c/script>"}'
    """
    return json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")


@cache
def _library() -> str:
    import altair as alt
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    source: str = vl_convert.javascript_bundle(_SNIPPET, vl_version=version)
    return source.replace("</script", "<\\/script")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("agora_analytics.insight.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
