"""The notes on operations, events and error codes are complete, and agree with the code and with the other pages."""

import itertools

import pytest

from contrib.site.documented_rows import rows
from contrib.site.reference_notes import (
    error_code_notes,
    event_notes,
    examples,
    exception_texts,
    operation_notes,
    recorded_responses,
)
from contrib.site.service_facts import MODEL, errors, members
from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.aws_errors import AwsError
from stagebook.api.participants.problem_responses import ATTEMPT_STATUSES
from stagebook.stage.events import AWS_EVENT_NAMES, Cause, ErrorCode, EventName
from stagebook.stage.limits import STRICT
from tests.e2e.ingest.error_causes import ERROR_CAUSES

OPERATIONS = sorted(MODEL.operations)


def test_every_operation_has_notes_and_nothing_else() -> None:
    assert sorted(operation_notes()) == OPERATIONS


def test_every_operation_has_one_example_and_nothing_else() -> None:
    assert sorted(example.operation for example in examples()) == OPERATIONS


def test_every_operation_has_a_recorded_response_and_nothing_else() -> None:
    assert sorted(recorded_responses().responses) == OPERATIONS


def test_every_event_has_notes_and_nothing_else() -> None:
    assert list(event_notes()) == [name.value for name in AWS_EVENT_NAMES]


def test_every_error_code_has_notes_and_nothing_else() -> None:
    assert list(error_code_notes()) == [code.value for code in ErrorCode]


def test_every_error_of_the_service_model_has_a_text_and_nothing_else() -> None:
    assert set(exception_texts()) == {error.name for name in OPERATIONS for error in errors(name)}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_choices_are_questions_of_the_compatibility_page(operation: str) -> None:
    assert [choice for choice in operation_notes()[operation].choices if choice not in rows("compatibility.md")] == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_quotas_exist(operation: str) -> None:
    assert [quota for quota in operation_notes()[operation].quotas if quota not in STRICT.__struct_fields__] == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_rate_is_the_one_that_the_server_enforces(operation: str) -> None:
    throttle = Throttle(STRICT, monotonic_ns=lambda: 0)
    for accepted in itertools.count():  # noqa: B007 - the number of calls before the first refused one
        try:
            throttle.take(operation, "123456789012")
        except AwsError:
            break
    assert getattr(STRICT, operation_notes()[operation].rate) == accepted


@pytest.mark.parametrize("name", AWS_EVENT_NAMES)
def test_the_members_of_an_event_are_those_of_its_shape(name: EventName) -> None:
    event = MODEL.operations["ListParticipantEvents"].output.members[0].shape.item
    assert event is not None
    known = {member.path for member in members(event)}
    note = event_notes()[name]
    assert {*note.members, *note.optional} <= known - {"name", "participantId", "eventTime"}


@pytest.mark.parametrize("name", AWS_EVENT_NAMES)
def test_the_codes_and_causes_of_an_event_exist(name: EventName) -> None:
    note = event_notes()[name]
    assert set(note.causes) <= {cause.value for cause in Cause}
    assert bool(note.codes) == name.endswith("_ERROR") == ("errorCode" in note.members)


def test_every_cause_belongs_to_an_event() -> None:
    assert {cause for note in event_notes().values() for cause in note.causes} == {cause.value for cause in Cause}


@pytest.mark.parametrize("code", ErrorCode)
def test_the_events_of_a_code_have_it(code: ErrorCode) -> None:
    having = {name for name, note in event_notes().items() if code in note.codes}
    assert set(error_code_notes()[code].events) == having


@pytest.mark.parametrize("code", ErrorCode)
def test_the_clients_of_a_code_are_those_that_the_code_knows(code: ErrorCode) -> None:
    note = error_code_notes()[code]
    assert bool(note.rtmp) == (code in {cause.code for cause in ERROR_CAUSES})
    if code in ATTEMPT_STATUSES:
        assert note.whip
