"""The default observer: every event has its line in the log, and what loses data is a warning."""

import logging
from typing import get_args

from agora_analytics.engine import events


def test_every_event_has_a_level():
    assert set(events._LEVELS) == set(get_args(events.Event))


def test_an_answer_that_is_kept_in_part_is_a_warning(caplog):
    events.log_event(
        events.CameInPart(endpoint="opentok/session_data", code=1012, message="internal server error")
    )
    ((name, level, text),) = caplog.record_tuples
    assert (name, level) == ("agora_analytics.engine", logging.WARNING)
    assert "1012" in text
