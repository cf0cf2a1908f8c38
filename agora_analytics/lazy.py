"""Public names that are imported at their first use, so that `import agora_analytics` stays fast."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

_BUCKET = {"deltalake", "obstore"}
"""The packages of the extra `bucket`; others that may be missing are of the extra `store`."""


def lazy_names(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[list[str], Callable[[str], Any]]:
    """Return the `__all__` and the `__getattr__` of a package.

    Args:
        package: its name.
        homes: public names by the module, below the package, that defines them.
    """
    module_of = {name: f"{package}.{module}" for module, names in homes.items() for name in names}

    def __getattr__(name: str) -> Any:  # noqa: N807 - the package's own
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            # The package first: Python locks a module before it imports its package, so two threads could each hold what
            # the other one needs. Python then uses a module that is not complete.
            import_module(module_of[name].rpartition(".")[0])
            return getattr(import_module(module_of[name]), name)
        except ModuleNotFoundError as error:
            # Only the store and the harvest import packages of an extra when they are imported.
            if error.name is None or error.name.partition(".")[0] == __package__:
                raise
            missing = error.name.partition(".")[0]
            extra = "bucket" if missing in _BUCKET else "store"
            advice = f"pip install 'agora-analytics[{extra}]'"
            raise ModuleNotFoundError(f"{name} needs {missing}: {advice}", name=error.name) from error

    return sorted(module_of), __getattr__
