"""The first half of the worlds that CI runs. Two files, because the tests of a file run in one process."""

import pytest

from tests.conftest import slow
from tests.worlds.harness import IN_A_TEST, assert_no_violation


@pytest.mark.parametrize("first", [0, *map(slow, range(IN_A_TEST, 200, IN_A_TEST))])
def test_worlds_satisfy_the_invariants(tmp_path, first):
    assert_no_violation(first, tmp_path)
