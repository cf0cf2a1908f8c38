"""Settings of the documentation site. `nox -s docs` builds it into `docs/_build`, without the network."""

import sys
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

import agora_analytics

project = "agora_analytics"
author = "the agora_analytics contributors"
project_copyright = author
version = release = agora_analytics.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "_site.public_names",
    "_site.docstring_links",
    "_site.command_reference",
]
exclude_patterns = ["_build", "_site"]

# Pages link to headings, as the view of a repository host does.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# A signature has names and defaults, one parameter a line if it is long; the types stand at the parameters.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
autodoc_default_options = {
    "members": True,
    "inherited-members": "str,int,dict,tuple,Sequence,Enum,BaseException,Generic,Protocol,Record,object",
}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_use_ivar = True
add_module_names = False

# The build has no network, so names of other libraries are not linked. All of ours must be.
default_role = "name"
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!agora_analytics\b)[\w.]+"),
    (r"py:class", r"agora_analytics\..*\.(T|E|M|S|P|PageT)"),  # type variables
    (r"py:class", r"agora_analytics\..*\.(Uid|MetricId)"),  # names for str and int
    (
        r"py:class",
        (
            r"agora_analytics\.(core\.domains\.HostTable|engine\.prefetch_budget\.PagePool"
            r"|kit\.operation\.Operation|store\.protocol\.Published)"
        ),
    ),
]

html_theme = "furo"
html_title = f"agora_analytics {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

ROOT_PAGES = {"README": "/index", "CONTRIBUTING": "/contributing/guide", "CHANGELOG": "/changelog"}
"""Pages of the repository that lie outside this folder, and their places on the site."""


def setup(app: Sphinx) -> None:
    """Adapt pages that are written for the view of a repository host as well."""
    app.add_lexer("cron", TextLexer)  # Pygments has none
    app.connect("source-read", _for_the_site)


def _for_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    for name, place in ROOT_PAGES.items():
        up = "../" * (page.count("/") + 1)
        source[0] = source[0].replace(f"]({up}{name}.md", f"]({place}.md")
    if page == "decisions/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"
