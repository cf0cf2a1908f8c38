"""The public face: what `agora_analytics` offers by name."""

import ast
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import agora_analytics
from agora_analytics import errors

NEEDS_STORE = {
    "CallSkipped", "CallStored", "CallsListed", "Estimate", "FileDamaged", "HarvestClient", "HarvestEvent",
    "HarvestObserver", "HarvestReport", "ParquetStore", "PointsStored", "Store", "StoreWriter", "Unreadable", "ValueName", "ValueRule", "estimate",
    "harvest", "harvest_insights", "open_store", "BucketStore", "HarvestWriter", "AccountBegun", "AccountEvent",
    "AccountObserver", "AccountReport", "harvest_account", "harvest_accounts",
}  # fmt: skip
NEEDS_BUCKET = {"BucketStore"}
PROMISED = {
    "AsyncAgora", "harvest", "estimate", "open_store", "Call", "Session", "Series", "Page", "Pages", "Plan", "PLANS",
    "STANDARD", "PREMIUM", "ENTERPRISE", "Limits", "Region", "RetryPolicy", "Quota", "MemoryLedger", "SqliteLedger",
    "HttpxTransport", "TransportFailure", "FailureKind", "Request", "Response", "HarvestReport", "Estimate",
}  # fmt: skip


def typed_names() -> dict[str, str]:
    """Return what type checkers see: name -> module, from the `TYPE_CHECKING` block."""
    tree = ast.parse(Path(agora_analytics.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    return {
        alias.asname or alias.name: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", agora_analytics.__all__)
def test_every_public_name_can_be_imported(name):
    if name in NEEDS_STORE:
        pytest.importorskip("pyarrow")
    if name in NEEDS_BUCKET:
        pytest.importorskip("deltalake")
    value = getattr(agora_analytics, name)
    assert value is getattr(sys.modules[typed_names()[name]], name)


def test_the_public_names_are_sorted_and_the_promised_ones_among_them():
    assert agora_analytics.__all__ == sorted(agora_analytics.__all__)
    assert set(agora_analytics.__all__) >= PROMISED


def test_all_errors_are_public():
    tree = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert tree <= set(agora_analytics.__all__)


def test_checkers_and_the_interpreter_see_the_same_names():
    assert typed_names().keys() == set(agora_analytics.__all__)


def test_dir_lists_names_that_were_not_used_yet():
    script = (
        "import agora_analytics as a; assert set(a.__all__) <= set(dir(a)); print('AsyncAgora' in vars(a))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_dir_lists_public_names_only():
    assert {name for name in dir(agora_analytics) if not name.startswith("__")} == set(
        agora_analytics.__all__
    )


def test_help_of_the_client_names_types_and_does_not_expand_them():
    signature = str(inspect.signature(agora_analytics.AsyncAgora))
    assert "plan: 'Plan | PlanName' = 'standard'" in signature
    assert "**options: 'Unpack[ClientOptions]'" in signature
    assert "HostSwitched" not in pydoc.plain(pydoc.render_doc(agora_analytics.AsyncAgora))


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'AsyncAgorra'"):
        agora_analytics.AsyncAgorra  # noqa: B018


@pytest.mark.parametrize(
    "first", ["import agora_analytics.harvest.run", "from agora_analytics.harvest import harvest", "pass"]
)
def test_harvest_is_the_function_whatever_was_imported_before(first):
    pytest.importorskip("pyarrow")
    script = f"{first}\nfrom agora_analytics import harvest\nimport agora_analytics as a\nprint(callable(harvest), a.harvest is harvest)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_the_drawn_tree_of_errors_is_the_real_one():
    drawn = [line for line in (errors.__doc__ or "").splitlines() if "──" in line]
    parents = ["AgoraAnalyticsError"]
    for line in drawn:
        branch, _, rest = line.partition("── ")
        name, depth = rest.split()[0], len(branch.strip("\n")) // 4
        del parents[depth:]
        assert parents[-1] in {base.__name__ for base in getattr(errors, name).__mro__[1:]}, name
        parents.append(name)
    assert len(drawn) == len(typed_names_of_errors()) - 1


def typed_names_of_errors() -> list[str]:
    return [
        name for name, module in typed_names().items() if module.endswith(".errors") and name != "Attempt"
    ]
