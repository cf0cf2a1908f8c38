"""Without the libraries of the extra `[opentok]`, imports work and errors name the extra."""

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
    async with AsyncOpenTok(ProjectKey("45000001", "a-secret"), base_url="http://127.0.0.1:9") as client:
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


@pytest.mark.parametrize("needed", NEEDS)
def test_missing_library_names_the_extra(needed):
    missing, asked = NEEDS[needed]
    program = PROGRAM.format(missing=missing, asked=asked)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    message, sent = ran.stdout.splitlines()
    assert message.startswith(f"{needed}, which is not installed: pip install 'agora-analytics[opentok]'")
    assert sent == "{}"
    assert ran.stderr == ""
