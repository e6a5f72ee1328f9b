"""Compact rows: the codes that lie in users' files, and that nothing is lost on the way there and back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.book.sqlite.rows import (
    CAUSES,
    ERROR_CODES,
    EVENT_NAMES,
    STATES,
    event_row,
    participant_record,
    participant_row,
    recorded_event,
)
from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from stagebook.stage.resources import ClientInfo, ParticipantProtocol, ParticipantRecord, ParticipantState


def test_the_stored_codes_of_event_names_never_change() -> None:
    assert [name.value for name in EVENT_NAMES] == [
        "JOINED",
        "LEFT",
        "PUBLISH_STARTED",
        "PUBLISH_STOPPED",
        "SUBSCRIBE_STARTED",
        "SUBSCRIBE_STOPPED",
        "PUBLISH_ERROR",
        "SUBSCRIBE_ERROR",
        "JOIN_ERROR",
        "REPLICATION_STARTED",
        "REPLICATION_STOPPED",
        "TOKEN_EXCHANGED",
    ]


def test_the_stored_codes_of_error_codes_never_change() -> None:
    assert [code.value for code in ERROR_CODES] == [
        "INSUFFICIENT_CAPABILITIES",
        "QUOTA_EXCEEDED",
        "PUBLISHER_NOT_FOUND",
        "BITRATE_EXCEEDED",
        "RESOLUTION_EXCEEDED",
        "STREAM_DURATION_EXCEEDED",
        "INVALID_AUDIO_CODEC",
        "INVALID_VIDEO_CODEC",
        "INVALID_PROTOCOL",
        "INVALID_STREAM_KEY",
        "REUSE_OF_STREAM_KEY",
        "B_FRAME_PRESENT",
        "INVALID_INPUT",
        "INTERNAL_SERVER_EXCEPTION",
    ]


def test_the_stored_codes_of_causes_never_change() -> None:
    assert [cause.value for cause in CAUSES][:11] == [
        "client",
        "peer_lost",
        "never_connected",
        "publisher_stopped",
        "disconnected_by_api",
        "stage_deleted",
        "limit",
        "refused",
        "engine_lost",
        "shutdown",
        "crash_recovery",
    ]


def test_the_stored_codes_of_participant_states_never_change() -> None:
    assert STATES == (ParticipantState.CONNECTED, ParticipantState.DISCONNECTED)


def test_a_plain_event_has_no_cell_it_does_not_need() -> None:
    assert event_row(1, 2, 3, Event(name=EventName.LEFT)) == (1, 2, 3, 1, None, None, False, None, None, None)


def test_a_participant_without_rare_members_has_none_stored() -> None:
    assert participant_row(1, 2, ParticipantRecord(participant_id="p"))[-1] is None


@settings(max_examples=50)
@given(
    st.builds(
        Event,
        name=st.sampled_from(EventName),
        remote_participant_id=st.none() | st.text(),
        error_code=st.none() | st.sampled_from(ErrorCode),
        replica=st.booleans(),
        cause=st.none() | st.sampled_from(Cause),
        detail=st.none() | st.text(),
        destination=st.none(),
        exchange=st.none(),
    )
)
def test_an_event_survives_its_row(event: Event) -> None:
    _, _, *cells = event_row(1, 2, 3, event)
    recorded = recorded_event("p", tuple(cells))
    assert recorded.event == event
    assert recorded.sequence == 3
    assert recorded.participant_id == "p"


@settings(max_examples=50)
@given(
    st.builds(
        ParticipantRecord,
        participant_id=st.text(),
        user_id=st.text(),
        state=st.sampled_from(ParticipantState),
        first_join_ms=st.none() | st.integers(0, 1 << 42),
        attributes=st.dictionaries(st.text(), st.text()),
        published=st.booleans(),
        protocol=st.sampled_from(ParticipantProtocol),
        client=st.builds(ClientInfo, os_name=st.text(), browser_name=st.text()),
        redundant_ingest=st.booleans(),
    )
)
def test_a_participant_survives_its_row(record: ParticipantRecord) -> None:
    _, _, *cells = participant_row(1, 2, record)
    assert participant_record(tuple(cells)) == record
