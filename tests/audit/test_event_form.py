"""Which members belong to which event, and the forms of ids."""

import pytest
from msgspec.structs import replace

from stagebook.audit.event_form import event_faults, id_faults, participant_id_fault
from stagebook.stage.events import (
    ErrorCode,
    EventName,
    RecordingDetails,
    RecordingErrorCode,
    ReplicationDestination,
)
from tests.audit.histories import event
from tests.book.sample import ARN, KEY_ARN, SESSION

SOUND = {
    EventName.SUBSCRIBE_STARTED: "SUBSCRIBE_STARTED bob",
    EventName.SUBSCRIBE_STOPPED: "SUBSCRIBE_STOPPED bob",
    EventName.PUBLISH_ERROR: "PUBLISH_ERROR INVALID_INPUT",
    EventName.SUBSCRIBE_ERROR: "SUBSCRIBE_ERROR PUBLISHER_NOT_FOUND",
    EventName.JOIN_ERROR: "JOIN_ERROR QUOTA_EXCEEDED",
    EventName.REPLICATION_STARTED: "REPLICATION_STARTED a",
    EventName.REPLICATION_STOPPED: "REPLICATION_STOPPED a",
    EventName.TOKEN_EXCHANGED: "TOKEN_EXCHANGED PUBLISH",
    EventName.RECORDING_STARTED: "RECORDING_STARTED a",
    EventName.RECORDING_ENDED: "RECORDING_ENDED a",
    EventName.RECORDING_START_FAILED: "RECORDING_START_FAILED a",
    EventName.RECORDING_END_FAILED: "RECORDING_END_FAILED a",
}
EXCHANGE = event("TOKEN_EXCHANGED PUBLISH").exchange
DESTINATION = ReplicationDestination(stage_arn=ARN, session_id=SESSION)
MEMBERS = {
    "error-code": ("error_code", ErrorCode.INVALID_INPUT),
    "remote-participant": ("remote_participant_id", "bob"),
    "destination": ("destination", DESTINATION),
    "tokens": ("exchange", EXCHANGE),
    "recording-details": ("recording", event("RECORDING_STARTED a").recording),
}


@pytest.mark.parametrize("name", EventName)
@pytest.mark.parametrize("rule", MEMBERS)
def test_each_event_has_its_members_and_no_others(name: EventName, rule: str) -> None:
    sound = event(SOUND.get(name, name.value))
    assert list(event_faults(sound)) == []
    member, value = MEMBERS[rule]
    changed = replace(sound, **{member: value if getattr(sound, member) is None else None})
    may_have_it = name is EventName.SUBSCRIBE_ERROR and member == "remote_participant_id"
    assert [found.name for found, _ in event_faults(changed)] == ([] if may_have_it else [rule])


@pytest.mark.parametrize(
    ("arn", "session", "account"),
    [("arn", SESSION, None), (KEY_ARN, SESSION, None), (ARN, "st-short", None), (ARN, SESSION, "210987654321")],
)
def test_ids_of_a_wrong_form_are_found(arn: str, session: str, account: str | None) -> None:
    assert [rule.name for rule, _ in id_faults(arn, session, account_id=account)] == ["ids"]
    assert list(id_faults(ARN, SESSION, account_id="123456789012")) == []


@pytest.mark.parametrize(("participant", "is_sound"), [("aZ9-_", True), ("", False), ("a b", False), ("a" * 65, False)])
def test_the_form_of_a_participant_id(participant: str, is_sound: bool) -> None:  # noqa: FBT001 - a parameter
    assert (participant_id_fault(participant) is None) == is_sound


def test_ids_of_other_participants_and_sessions_have_their_form_too() -> None:
    assert [rule.name for rule, _ in event_faults(event("SUBSCRIBE_STARTED a b"))] == ["ids"]
    elsewhere = replace(
        event("REPLICATION_STARTED a"), destination=ReplicationDestination(stage_arn="arn", session_id=SESSION)
    )
    assert [rule.name for rule, _ in event_faults(elsewhere)] == ["ids"]


@pytest.mark.parametrize(
    ("name", "code", "is_sound"),
    [
        (EventName.RECORDING_START_FAILED, RecordingErrorCode.RESOURCE_NOT_FOUND, True),
        (EventName.RECORDING_START_FAILED, RecordingErrorCode.ACCESS_DENIED, False),
        (EventName.RECORDING_END_FAILED, RecordingErrorCode.RESOURCE_NOT_FOUND, False),
    ],
)
def test_a_recording_without_its_storage_configuration_names_no_bucket(
    name: EventName,
    code: RecordingErrorCode,
    is_sound: bool,  # noqa: FBT001 - a parameter
) -> None:
    details = RecordingDetails(bucket_name="", prefix="a/b/c/d", error_code=code)
    faults = event_faults(replace(event(f"{name} a"), recording=details))
    assert [rule.name for rule, _ in faults] == ([] if is_sound else ["recording-details"])
