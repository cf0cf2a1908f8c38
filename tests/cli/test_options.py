import doctest
import inspect
from typing import Annotated

import pytest
import typer
from attrs import frozen

from agora_analytics.cli import options
from agora_analytics.cli.options import option_groups
from agora_analytics.errors import InvalidRequest


@frozen(kw_only=True)
class Interval:
    start: Annotated[int, typer.Option(help="Start.")]
    end: Annotated[int, typer.Option(help="End.")] = 9

    def __attrs_post_init__(self):
        if self.start > self.end:
            raise InvalidRequest("--start must not be after --end")


@option_groups
def length(unit: str = "s", *, interval: Interval) -> str:
    """Return the length of an interval."""
    return f"{interval.end - interval.start} {unit}"


def test_option_group_becomes_one_option_for_each_field():
    parameters = inspect.signature(length).parameters
    assert list(parameters) == ["unit", "start", "end"]
    assert parameters["start"].default is inspect.Parameter.empty
    assert parameters["end"].default == 9
    assert parameters["end"].annotation.__metadata__[0].help == "End."
    assert length.__doc__ == "Return the length of an interval."


def test_option_group_is_passed_as_one_argument_and_validated():
    assert length(start=2, unit="m") == "7 m"
    with pytest.raises(InvalidRequest, match="must not be after"):
        length(start=2, end=1)


def test_example_in_the_docstring():
    assert doctest.testmod(options).failed == 0
