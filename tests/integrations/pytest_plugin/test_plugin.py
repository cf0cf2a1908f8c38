"""The plugin in pytest runs of a user: what it imports, its marker, other plugins, a missing extra."""

import pytest

TEST = """
import pytest
from agora_analytics.blocking import Agora

@pytest.mark.agora_world(calls=2)
def test_calls(agora_simulator):
    with Agora.from_env() as client:
        assert len(client.calls("6h").collect()) == 2
"""


@pytest.fixture(autouse=True)
def ini(pytester):
    """Warnings are errors, and the plugin is loaded although this repository blocks its entry point."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n")


def test_entry_point_costs_no_import(pytester):
    """A test that uses no fixture imports `agora_analytics` and what pytest has imported, nothing else."""
    pytester.makepyfile(
        """
        import sys

        def test_modules(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("agora_analytics")
            loaded = {name for name in sys.modules if name.startswith("agora_analytics")}
            assert loaded == {
                "agora_analytics", "agora_analytics.lazy",
                "agora_analytics.integrations", "agora_analytics.integrations.pytest_plugin",
            }
            assert not {"httpx", "numpy", "attrs", "starlette", "uvicorn", "anyio"} & set(sys.modules)
        """
    )
    quiet = ("-p", "no:anyio", "-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:respx")
    result = pytester.runpytest_subprocess(
        "--strict-markers", "--strict-config", "-p", "no:asyncio", *quiet, "-c", "/dev/null"
    )
    result.assert_outcomes(passed=1)


def test_processes_and_other_plugins(pytester):
    """In a process of xdist, with async tests of pytest-asyncio in strict mode and of anyio."""
    pytester.makepyfile(
        test_sync=TEST,
        test_async="""
        import anyio
        import pytest
        from agora_analytics import AsyncAgora

        async def calls():
            async with AsyncAgora.from_env() as client:
                return await client.calls("6h").collect()

        @pytest.mark.asyncio
        async def test_asyncio(agora_simulator):
            assert len(await calls()) == 5

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_anyio(agora_simulator, anyio_backend):
            assert len(await calls()) == 5
        """,
    )
    result = pytester.runpytest_subprocess("-n", "1", "--strict-markers", "-o", "asyncio_mode=strict")
    result.assert_outcomes(passed=3)


def test_missing_extra_is_named(pytester):
    pytester.makeconftest("import sys\nsys.modules['starlette'] = None")
    pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-p", "no:xdist")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*agora_serve needs starlette; install agora-analytics[[]simulator]*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("3", "keyword arguments only"),
        ("call=3", "'call'"),
        ("plan='gold'", "gold"),
        ("since='soon'", "since"),
    ],
)
def test_wrong_marker_is_an_error_that_names_the_test(pytester, arguments, reason):
    pytester.makepyfile(TEST.replace("calls=2", arguments))
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*marker agora_world of *::test_calls is wrong:*{reason}*"])


def test_help_lists_the_fixtures_and_the_marker(pytester):
    pytester.makepyfile(TEST)
    result = pytester.runpytest_inprocess("--fixtures", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.agora_world(*"])
