"""The blocking clients have the names, parameters, defaults and words of the asynchronous ones."""

import inspect

import pytest

from agora_analytics import AsyncAgora
from agora_analytics.agora.insights import Insights
from agora_analytics.blocking import Agora, Pages
from agora_analytics.blocking.wrappers import Blocking, without_await
from agora_analytics.engine.pages import Pages as AsyncPages
from tests.blocking.conftest import CUSTOMER, SETTINGS
from tests.blocking.parity import CONTEXT, differences


def test_agora_is_the_twin_of_async_agora():
    with Agora(*CUSTOMER, **SETTINGS) as blocking:
        assert differences(AsyncAgora(*CUSTOMER, **SETTINGS), blocking) == []


def test_missing_twin_of_a_method_is_reported(monkeypatch):
    async def later(self) -> int:
        """Return something new."""

    monkeypatch.setattr(AsyncAgora, "later", later, raising=False)
    with Agora(*CUSTOMER, **SETTINGS) as blocking:
        assert differences(AsyncAgora(*CUSTOMER, **SETTINGS), blocking) == [
            "AsyncAgora.later has no twin: add it to Agora"
        ]


def test_missing_twin_of_a_group_is_reported():
    class Grown(AsyncAgora):
        __doc__ = AsyncAgora.__doc__

        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            self.recordings = Insights(self._queries)

    Grown.__init__.__signature__ = inspect.signature(AsyncAgora.__init__)
    with Agora(*CUSTOMER, **SETTINGS) as blocking:
        assert differences(Grown(*CUSTOMER, **SETTINGS), blocking) == [
            "Grown.recordings has no twin: add it to Agora"
        ]
        assert "other parameters" in " ".join(
            differences(Grown(*CUSTOMER, **SETTINGS).recordings, Worse(blocking))
        )


class Worse:
    """A group whose methods take something else."""

    def __init__(self, _client):
        self.usage = lambda _since: []


def test_pages_are_the_twin_of_pages():
    for name in ("pages", "collect", "to_arrow"):
        old, new = getattr(AsyncPages, name), getattr(Pages, name)
        assert without_await(inspect.getdoc(old)) == inspect.getdoc(new)
        assert inspect.signature(old).parameters.keys() == inspect.signature(new).parameters.keys()
    assert without_await(inspect.getdoc(AsyncPages)) == inspect.getdoc(Pages)
    assert {name for name in dir(AsyncPages) if name[0] != "_"} == {
        name for name in dir(Pages) if name[0] != "_"
    }


def test_the_services_are_twins_too():
    pytest.importorskip("pyarrow")
    from agora_analytics import blocking, estimate, harvest

    for old, new in ((harvest, blocking.harvest), (estimate, blocking.estimate)):
        assert inspect.signature(old).parameters.keys() == inspect.signature(new).parameters.keys()
        assert without_await(inspect.getdoc(old)) == inspect.getdoc(new)
        assert not inspect.iscoroutinefunction(new)
        assert "await" not in inspect.getdoc(new)


def test_a_blocking_client_is_a_context_manager():
    assert all(hasattr(AsyncAgora, old) and hasattr(Blocking, new) for old, new in CONTEXT.items())


def test_docstrings_of_twins_do_not_mention_await():
    assert "await" not in Agora.__doc__
    assert "async" not in Agora.__doc__.lower().replace("asyncclient", "")
