"""Fixtures for tests of your own code: simulated vendors over HTTP, and Agora on virtual time.

pytest loads this module in every run, so it imports nothing else of the package before a test uses a fixture.
`pytest -p no:agora_analytics` leaves it out.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_analytics.integrations.pytest_simulators import Serve, SimulatedAgora, VirtualAgora

_MARKER = (
    "agora_world(seed=1, calls=5, since='3h', until='1h', plan='enterprise', **options): "
    "the simulated project of the fixtures agora_simulator and agora_virtual. "
    "Options are those of World.generate and Simulator."
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that `--strict-markers` accepts it."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def agora_serve(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Serve]":
    """A function that serves a simulator on this machine until the end of the test, and returns its URL.

    The environment has the address and the account of the simulator, so that `from_env()` of every client finds it.
    Requests are counted in memory, and each test begins with a whole quota.

    Example:
        def test_meetings(agora_serve):
            world = OpenTokWorld.generate(since=time.time() - 7200, until=time.time() - 3600, sessions=3)
            agora_serve(OpenTokSimulator(world))
            assert count_meetings() == 3  # your own code, which uses OpenTok.from_env()
    """
    simulators = _simulators(request)
    with ExitStack() as servers:
        simulators.count_in_memory(monkeypatch)
        yield simulators.serve(servers, monkeypatch)


@pytest.fixture
def agora_simulator(request: pytest.FixtureRequest, agora_serve: "Serve") -> "SimulatedAgora":
    """A simulated Agora project over HTTP, which `Agora.from_env()` and `AsyncAgora.from_env()` connect to.

    `world` is the truth that a result is compared with. `seen` counts the requests and the refusals. The marker
    `agora_world` changes the project.

    Example:
        @pytest.mark.agora_world(calls=20, long_share=0.2)
        def test_report(agora_simulator):
            assert count_calls() == len(agora_simulator.world.calls)  # your own code
            assert not agora_simulator.seen.refused
    """
    project: SimulatedAgora = _simulators(request).simulated_agora(request.node, agora_serve)
    return project


@pytest.fixture
def agora_virtual(request: pytest.FixtureRequest) -> "VirtualAgora":
    """A simulated Agora project on virtual time: a day takes milliseconds, because nothing waits.

    `run(work)` calls your coroutine function with a client and returns its result. `clock` is the time. The time and the
    calls are the same in each run of the tests.

    Example:
        def test_job(agora_virtual):
            report = agora_virtual.run(my_job)  # async def my_job(client): ...
            assert report.calls == len(agora_virtual.world.calls)
    """
    project: VirtualAgora = _simulators(request).virtual_agora(request.node)
    return project


def _simulators(request: pytest.FixtureRequest) -> Any:
    try:
        from agora_analytics.integrations import pytest_simulators
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "agora_analytics":
            raise
        pytest.fail(
            f"the fixture {request.fixturename} needs {missing}; install agora-analytics[simulator]",
            pytrace=False,
        )
    return pytest_simulators
