"""The examples of docs/contributing/testing.md are tests that pass."""

import asyncio
import inspect
import re
from pathlib import Path

import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

PAGE = Path(__file__).parent.parent / "docs" / "contributing" / "testing.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def load(example):
    namespace = {}
    exec(compile(example, str(PAGE), "exec"), namespace)
    return {name: test for name, test in namespace.items() if name.startswith("test_")}


TESTS = {name: test for example in EXAMPLES for name, test in load(example).items()}


@pytest.mark.parametrize("name", TESTS)
def test_example(name):
    result = TESTS[name]()
    if inspect.iscoroutine(result):
        asyncio.run(result)


def test_page_has_three_examples():
    assert len(EXAMPLES) == 3
