"""Public names without the extras that they need."""

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
