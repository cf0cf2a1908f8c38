"""Public names without the extras that they need."""

import sys
from importlib import import_module

import pytest

from agora_analytics.core import frames
from agora_analytics.errors import ConfigurationError
from agora_analytics.lazy import lazy_names


def test_public_name_whose_packages_are_missing_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "needy.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    _, attribute = lazy_names("package", {"needy": ("open_store",)})
    with pytest.raises(
        ModuleNotFoundError, match=r"open_store needs no_such_package: pip install .*\[store\]"
    ) as caught:
        attribute("open_store")
    assert caught.value.name == "no_such_package"


@pytest.mark.parametrize(
    ("library", "extra"), [("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "arrow")]
)
def test_data_frame_without_pyarrow_names_one_extra_that_installs_all(library, extra, monkeypatch):
    monkeypatch.setattr(frames, "find_spec", lambda name: None if name == "pyarrow" else "found")
    with pytest.raises(
        ConfigurationError, match=rf"needs pyarrow: pip install 'agora-analytics\[{extra}\]'$"
    ):
        frames.require(library, "to_it()")


def test_dlt_source_without_dlt_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("agora_analytics.integrations.dlt")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dlt", None)
    package = import_module("agora_analytics.integrations.dlt")
    with pytest.raises(ConfigurationError, match=r"needs dlt; install agora-analytics\[dlt\]$"):
        _ = package.agora_source
