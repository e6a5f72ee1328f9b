"""Rows: the stored enum codes are stable, and values survive the conversion to a row and back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.book.tables.rows import (
    CAUSES,
    ERROR_CODES,
    EVENT_NAMES,
    REPLICATION_STATES,
    STATES,
    event_row,
    participant_record,
    participant_row,
    recorded_event,
    resource_row,
    resource_value,
)
from stagebook.stage.events import (
    Cause,
    ErrorCode,
    Event,
    EventName,
    ExchangedToken,
    ReplicationDestination,
    TokenExchange,
)
from stagebook.stage.resources import (
    ClientInfo,
    EncoderConfiguration,
    IngestConfiguration,
    IngestCredential,
    IngestProtocol,
    ParticipantProtocol,
    ParticipantRecord,
    ParticipantState,
    PublicKey,
    ReplicationState,
    ReplicationType,
    Resource,
    StorageConfiguration,
)

ATTRIBUTES = st.dictionaries(st.text(), st.text(), max_size=3)
EXCHANGED_TOKENS = st.builds(
    ExchangedToken,
    capabilities=st.lists(st.sampled_from(["PUBLISH", "SUBSCRIBE"]), unique=True).map(tuple),
    attributes=ATTRIBUTES,
    user_id=st.text(),
    expiration_ms=st.integers(0, 1 << 42),
)
CREDENTIALS = st.builds(IngestCredential, participant_id=st.text(), stream_key=st.text())
COMMON = {
    "arn": st.text(),
    "account_id": st.text(),
    "created_ms": st.integers(0, 1 << 42),
    "name": st.text(),
    "tags": ATTRIBUTES,
}


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
        "RECORDING_STARTED",
        "RECORDING_ENDED",
        "RECORDING_START_FAILED",
        "RECORDING_END_FAILED",
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


def test_the_stored_codes_of_replication_states_never_change() -> None:
    assert REPLICATION_STATES == (ReplicationState.ACTIVE, ReplicationState.STOPPED)


def test_unset_members_of_an_event_are_null() -> None:
    assert event_row(1, 2, 3, Event(name=EventName.LEFT)) == (1, 2, 3, 1, None, None, False, None, None, None)


def test_a_participant_with_default_members_stores_no_json() -> None:
    assert participant_row(1, 2, ParticipantRecord(participant_id="p"))[-1] is None


def test_only_the_known_members_of_the_client_info_are_stored() -> None:
    record = ParticipantRecord(participant_id="p", client=ClientInfo(os_name="Linux"))
    assert participant_row(1, 2, record)[-1] == '{"client":{"os_name":"Linux"}}'


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
        destination=st.none() | st.builds(ReplicationDestination, stage_arn=st.text(), session_id=st.text()),
        exchange=st.none() | st.builds(TokenExchange, previous=EXCHANGED_TOKENS, new=EXCHANGED_TOKENS),
    )
)
def test_an_event_survives_the_conversion(event: Event) -> None:
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
        attributes=ATTRIBUTES,
        published=st.booleans(),
        protocol=st.sampled_from(ParticipantProtocol),
        client=st.builds(ClientInfo, os_name=st.text(), browser_name=st.text()),
        replication_type=st.sampled_from(ReplicationType),
        replication_state=st.none() | st.sampled_from(ReplicationState),
        source_stage_arn=st.none() | st.text(),
        source_session_id=st.none() | st.text(),
        redundant_ingest=st.booleans(),
        ingest_configuration_arn=st.none() | st.text(),
    )
)
def test_a_participant_survives_the_conversion(record: ParticipantRecord) -> None:
    _, _, *cells = participant_row(1, 2, record)
    assert participant_record((*cells, None, None, None)) == record


@settings(max_examples=50)
@given(
    st.one_of(
        st.builds(PublicKey, **COMMON, material=st.text(), fingerprint=st.text()),
        st.builds(
            IngestConfiguration,
            **COMMON,
            ingest_protocol=st.sampled_from(IngestProtocol),
            insecure_ingest=st.booleans(),
            stage_arn=st.text(),
            participant_id=st.text(),
            stream_key=st.text(),
            user_id=st.text(),
            attributes=ATTRIBUTES,
            redundant_ingest=st.booleans(),
            redundant_credentials=st.lists(CREDENTIALS, max_size=2).map(tuple),
        ),
        st.builds(
            EncoderConfiguration,
            **COMMON,
            width=st.integers(2, 1_920),
            height=st.integers(2, 1_920),
            framerate=st.floats(1, 60),
            bitrate_bps=st.integers(1, 8_500_000),
        ),
        st.builds(StorageConfiguration, **COMMON, bucket_name=st.text()),
    )
)
def test_a_resource_survives_the_conversion(resource: Resource) -> None:
    arn, account_id, _, value = resource_row(resource)
    assert (arn, account_id) == (resource.arn, resource.account_id)
    assert resource_value((value,)) == resource
