"""The filters of events: every given member must match."""

from typing import Any

import pytest

from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.history.event_query import (
    EVENT_LOG_CAUSES,
    EVENT_LOG_ERRORS,
    EVENT_LOG_NAMES,
    EventFilter,
    chosen_events,
)
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)
from stagebook.stage.events import Cause, ErrorCode, EventName
from tests.history.logged import ACCOUNT, SESSION, STAGE_ARN, TIME_MS, logged

EVENT = logged(EventName.PUBLISH_ERROR, error_code=ErrorCode.BITRATE_EXCEEDED, cause=Cause.LIMIT)

COMPOSITION_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:composition/abcdABCDefgh"
OF_COMPOSITION = LoggedCompositionEvent(
    account_id=ACCOUNT,
    stage_arn=STAGE_ARN,
    composition_arn=COMPOSITION_ARN,
    sequence=TIME_MS << 20,
    event=CompositionEvent(
        name=CompositionEventName.COMPOSITION_FAILED,
        error_code=CompositionErrorCode.STAGE_DELETED,
        cause=CompositionCause.STAGE_DELETED,
    ),
)

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


@pytest.mark.parametrize(
    ("members", "can_match"),
    [
        ({}, (True, True)),
        ({"stage_arn": STAGE_ARN, "since_ms": TIME_MS}, (True, True)),
        ({"composition_arn": COMPOSITION_ARN}, (False, True)),
        ({"composition_arn": COMPOSITION_ARN + "0"}, (False, False)),
        (chosen_events(names=["COMPOSITION_FAILED"]), (False, True)),
        (chosen_events(names=["COMPOSITION_STARTED"]), (False, False)),
        (chosen_events(names=["COMPOSITION_FAILED", "PUBLISH_ERROR"]), (True, True)),
        (chosen_events(names=["PUBLISH_ERROR"]), (True, False)),
        (chosen_events(error="any"), (True, True)),
        (chosen_events(error="StageDeleted"), (False, True)),
        (chosen_events(error="ConflictException"), (False, False)),
        (chosen_events(error="BITRATE_EXCEEDED"), (True, False)),
        (chosen_events(cause="stage_deleted"), (False, True)),
        (chosen_events(cause="limit"), (True, False)),
        (chosen_events(cause="no_publisher"), (False, False)),
        ({"participant_id": "p"}, (True, False)),
        ({"user_id": ""}, (False, False)),
        ({"until_ms": TIME_MS}, (False, False)),
    ],
)
def test_events_of_participants_and_of_compositions_are_chosen(
    members: dict[str, Any], can_match: tuple[bool, bool]
) -> None:
    where = EventFilter(**members)
    assert (where.matches(EVENT), where.matches(OF_COMPOSITION)) == can_match
    assert where.can_match_participants or not can_match[0]
    assert where.can_match_compositions or not can_match[1]


def test_what_only_one_kind_has_leaves_the_other_out_without_a_look_at_it() -> None:
    assert not EventFilter(**chosen_events(error="StageDeleted")).can_match_participants
    assert not EventFilter(**chosen_events(error="INVALID_INPUT")).can_match_compositions


def test_every_text_of_a_request_chooses_something() -> None:
    everything = EventFilter()
    for kind, texts in (("error", EVENT_LOG_ERRORS), ("cause", EVENT_LOG_CAUSES)):
        assert all(EventFilter(**chosen_events(**{kind: text})) != everything for text in texts)
    assert all(EventFilter(**chosen_events(names=[name])) != everything for name in EVENT_LOG_NAMES)
