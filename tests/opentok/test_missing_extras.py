"""Without the libraries of the extra `[opentok]`: everything can be imported, and what needs them says so."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
from agora_analytics import ConfigurationError
from agora_analytics.blocking.opentok import OpenTok
from agora_analytics.opentok import AsyncOpenTok, ProjectKey

async def main():
    async with AsyncOpenTok(ProjectKey("45000001", "a secret"), base_url="http://127.0.0.1:9") as client:
        try:
            await {asked}
        except ConfigurationError as error:
            print(error)
        print(dict(client.sent))

asyncio.run(main())
"""
NEEDS = {
    "tokens need PyJWT": (("jwt",), 'client.sessions("a").collect()'),
    "query() needs graphql-core": (("graphql", "jwt"), 'client.query("{ a }")'),
}


@pytest.mark.parametrize("said", NEEDS)
def test_what_is_missing_is_named_with_the_extra_that_has_it(said):
    missing, asked = NEEDS[said]
    program = PROGRAM.format(missing=missing, asked=asked)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    told, sent = ran.stdout.splitlines()
    assert told.startswith(f"{said}, which is not installed: pip install 'agora-analytics[opentok]'")
    assert sent == "{}"
    assert ran.stderr == ""
