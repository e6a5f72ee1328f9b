"""The filters of events: every given member must match."""

from typing import Any

import pytest

from stagebook.history.event_query import EventFilter
from stagebook.stage.events import Cause, ErrorCode, EventName
from tests.history.logged import ACCOUNT, SESSION, STAGE_ARN, TIME_MS, logged

EVENT = logged(EventName.PUBLISH_ERROR, error_code=ErrorCode.BITRATE_EXCEEDED, cause=Cause.LIMIT)

MATCHING: list[dict[str, Any]] = [
    {},
    {"account_id": ACCOUNT},
    {"stage_arn": STAGE_ARN},
    {"session_id": SESSION},
    {"participant_id": "p"},
    {"user_id": "ann"},
    {"names": frozenset({EventName.PUBLISH_ERROR, EventName.LEFT})},
    {"error_code": ErrorCode.BITRATE_EXCEEDED},
    {"any_error": True},
    {"cause": Cause.LIMIT},
    {"since_ms": TIME_MS},
    {"until_ms": TIME_MS + 1},
]
OTHER: list[dict[str, Any]] = [
    {"account_id": "000000000000"},
    {"stage_arn": STAGE_ARN + "0"},
    {"session_id": "st-0"},
    {"participant_id": "q"},
    {"user_id": ""},
    {"names": frozenset({EventName.LEFT})},
    {"error_code": ErrorCode.INVALID_INPUT},
    {"cause": Cause.CLIENT},
    {"since_ms": TIME_MS + 1},
    {"until_ms": TIME_MS},
]


@pytest.mark.parametrize("members", MATCHING, ids=" ".join)
def test_an_event_matches(members: dict[str, Any]) -> None:
    assert EventFilter(**members).matches(EVENT)


@pytest.mark.parametrize("members", OTHER, ids=" ".join)
def test_an_event_does_not_match(members: dict[str, Any]) -> None:
    assert not EventFilter(**members).matches(EVENT)


def test_an_event_without_an_error_does_not_match_any_error() -> None:
    assert not EventFilter(any_error=True).matches(logged())


def test_all_given_members_must_match() -> None:
    every = {name: value for members in MATCHING for name, value in members.items()}
    assert EventFilter(**every).matches(EVENT)
    assert not EventFilter(**(every | {"user_id": "bob"})).matches(EVENT)
