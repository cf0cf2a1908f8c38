"""The second half of the worlds that CI runs."""

import pytest

from tests.worlds.harness import IN_A_TEST, assert_no_violation


@pytest.mark.slow
@pytest.mark.parametrize("first", range(200, 300, IN_A_TEST))
def test_worlds_satisfy_the_invariants(tmp_path, first):
    assert_no_violation(first, tmp_path)
