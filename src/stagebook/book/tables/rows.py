"""The conversion of domain values to rows of the tables and back.

Rows are passed to SQLite as JSON arrays (see change_rows.py), so a cell is an int, a str, a bool or None. Members of
enums are stored as their index in the enum. These indexes are part of the file format: members may be appended to the
enums, but must not be reordered or removed. Members that are rarely set share one JSON column, which is NULL when all
of them have their default.
"""

from typing import Any, TypeAlias

import msgspec

from stagebook.book.book_values import EventExtra, OpenRecording, RecordedEvent
from stagebook.stage.events import (
    AWS_EVENT_NAMES,
    Cause,
    ErrorCode,
    Event,
    EventName,
    RecordingDetails,
    ReplicationDestination,
    TokenExchange,
)
from stagebook.stage.resources import (
    ClientInfo,
    ParticipantProtocol,
    ParticipantRecord,
    ParticipantState,
    RecordingState,
    Replica,
    ReplicationState,
    ReplicationType,
    Resource,
    Stage,
    StageSession,
)

Row: TypeAlias = tuple[Any, ...]
"""The cells of a row, in the order of the columns. STRICT tables make SQLite check their types."""

EVENT_NAMES = tuple(EventName)
ERROR_CODES = tuple(ErrorCode)
CAUSES = tuple(Cause)
STATES = tuple(ParticipantState)
REPLICATION_STATES = tuple(ReplicationState)
RECORDING_STATES = tuple(RecordingState)
FIRST_OTHER_NAME = len(AWS_EVENT_NAMES)
"""The code of the first event name that is not AWS's."""
END_OF_NAMES = len(EventName)
"""The code after that of the last event name."""
EVENT_NAME_CODE = {member: code for code, member in enumerate(EVENT_NAMES)}
ERROR_CODE_CODE: dict[ErrorCode | None, int | None] = {None: None} | {
    member: code for code, member in enumerate(ERROR_CODES)
}
CAUSE_CODE: dict[Cause | None, int | None] = {None: None} | {member: code for code, member in enumerate(CAUSES)}
STATE_CODE = {member: code for code, member in enumerate(STATES)}
RECORDING_STATE_CODE = {member: code for code, member in enumerate(RECORDING_STATES)}
REPLICATION_STATE_CODE = {member: code for code, member in enumerate(REPLICATION_STATES)}

NO_CLIENT = ClientInfo()
_DISABLED = RecordingState.DISABLED


class ParticipantRest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members of a participant that no query filters or sorts by. They are stored in the JSON column `rest`."""

    attributes: dict[str, str] = {}
    protocol: ParticipantProtocol = ParticipantProtocol.UNKNOWN
    client: ClientInfo | None = None
    replication_type: ReplicationType = ReplicationType.NONE
    replication_state: ReplicationState | None = None
    source_stage_arn: str | None = None
    source_session_id: str | None = None
    redundant_ingest: bool = False
    ingest_configuration_arn: str | None = None


_encode = msgspec.json.encode
_decode_rest = msgspec.json.Decoder(ParticipantRest).decode
_decode_extra = msgspec.json.Decoder(EventExtra).decode
_decode_exchange = msgspec.json.Decoder(TokenExchange).decode
_decode_recording = msgspec.json.Decoder(RecordingDetails).decode
_decode_resource: msgspec.json.Decoder[Resource] = msgspec.json.Decoder(Resource)
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def event_row(session_key: int, number: int, sequence: int, event: Event) -> Row:
    """Return the row of an event for table `event`. `number` is the participant's number in the session."""
    return (
        session_key,
        number,
        sequence,
        EVENT_NAME_CODE[event.name],
        ERROR_CODE_CODE[event.error_code],
        event.remote_participant_id,
        event.replica,
        CAUSE_CODE[event.cause],
        event.detail,
        None if event.destination is None and event.exchange is None and event.recording is None else _extra(event),
    )


def _extra(event: Event) -> str:
    # Not encoded as an EventExtra: one with an empty Raw would not encode to valid JSON.
    members: dict[str, str | TokenExchange | RecordingDetails] = {}
    if event.destination is not None:
        members["destination_stage_arn"] = event.destination.stage_arn
        members["destination_session_id"] = event.destination.session_id
    if event.exchange is not None:
        members["exchange"] = event.exchange
    if event.recording is not None:
        members["recording"] = event.recording
    return _encode(members).decode()


def recorded_event(participant_id: str, row: Row) -> RecordedEvent:
    """Return the event of a row: sequence, name, error code, remote id, replica, cause, detail, extra."""
    sequence, name, error_code, remote_participant_id, replica, cause, detail, extra = row
    rare = EventExtra() if extra is None else _decode_extra(extra)
    destination = None
    if rare.destination_stage_arn is not None and rare.destination_session_id is not None:
        destination = ReplicationDestination(
            stage_arn=rare.destination_stage_arn, session_id=rare.destination_session_id
        )
    exchange, recording = bytes(rare.exchange), bytes(rare.recording)
    event = Event(
        name=EVENT_NAMES[name],
        remote_participant_id=remote_participant_id,
        error_code=None if error_code is None else ERROR_CODES[error_code],
        replica=bool(replica),
        destination=destination,
        exchange=_decode_exchange(exchange) if exchange else None,
        recording=_decode_recording(recording) if recording else None,
        cause=None if cause is None else CAUSES[cause],
        detail=detail,
    )
    return RecordedEvent(sequence=sequence, participant_id=participant_id, event=event)


def participant_row(session_key: int, number: int, record: ParticipantRecord) -> Row:
    """Return the row of a participant for table `participant`."""
    rest = _encode(
        ParticipantRest(
            attributes=record.attributes,
            protocol=record.protocol,
            client=None if record.client == NO_CLIENT else record.client,
            replication_type=record.replication_type,
            replication_state=record.replication_state,
            source_stage_arn=record.source_stage_arn,
            source_session_id=record.source_session_id,
            redundant_ingest=record.redundant_ingest,
            ingest_configuration_arn=record.ingest_configuration_arn,
        )
    )
    return (
        session_key,
        number,
        record.participant_id,
        record.user_id,
        STATE_CODE[record.state],
        record.published,
        record.first_join_ms,
        None if rest == b"{}" else rest.decode(),
    )


def participant_record(row: Row) -> ParticipantRecord:
    """Return the participant of a row: id, user id, state, published, first join time, rest, and the state, bucket
    and prefix of its recording."""
    participant_id, user_id, state, published, first_join_ms, rest_json, recording_state, bucket, prefix = row
    rest = ParticipantRest() if rest_json is None else _decode_rest(rest_json)
    return ParticipantRecord(
        participant_id=participant_id,
        user_id=user_id,
        state=STATES[state],
        first_join_ms=first_join_ms,
        attributes=rest.attributes,
        published=bool(published),
        protocol=rest.protocol,
        client=rest.client or NO_CLIENT,
        replication_type=rest.replication_type,
        replication_state=rest.replication_state,
        source_stage_arn=rest.source_stage_arn,
        source_session_id=rest.source_session_id,
        redundant_ingest=rest.redundant_ingest,
        ingest_configuration_arn=rest.ingest_configuration_arn,
        recording_state=_DISABLED if recording_state is None else RECORDING_STATES[recording_state],
        recording_bucket_name=bucket or "",
        recording_prefix=prefix or "",
    )


def recording_row(session_key: int, number: int, record: ParticipantRecord) -> Row:
    """Return the row of a recording as an import writes it: one that is over, and that the participant shows."""
    state = RECORDING_STATE_CODE[record.recording_state]
    return (
        *(session_key, number, record.participant_id, state, record.recording_bucket_name, record.recording_prefix),
        *("", True, True),
    )


def open_recording(row: Row) -> OpenRecording:
    """Return the open recording of a row: stage ARN, session, participant, its id, bucket, prefix, started, shown."""
    stage_arn, session_id, participant_id, recording_id, bucket_name, prefix, is_started, is_shown = row
    return OpenRecording(
        stage_arn=stage_arn,
        session_id=session_id,
        participant_id=participant_id,
        recording_id=recording_id,
        bucket_name=bucket_name,
        prefix=prefix,
        is_started=bool(is_started),
        is_shown=bool(is_shown),
    )


def stage_row(stage_key: int, stage: Stage) -> Row:
    """Return the row of a stage for table `stage`, without `deleted_ms`."""
    tags, recording = _encode(stage.tags).decode(), _encode(stage.recording).decode()
    return (stage_key, stage.arn, stage.account_id, stage.name, stage.created_ms, tags, recording)


def stage_value(row: Row) -> Stage:
    """Return the stage of a row: ARN, account id, name, creation time, tags, recording, active session's id."""
    arn, account_id, name, created_ms, tags, recording, active_session_id = row
    return Stage(
        arn=arn,
        account_id=account_id,
        name=name,
        created_ms=created_ms,
        tags=_decode_object(tags),
        recording=_decode_object(recording),
        active_session_id=active_session_id,
    )


def session_value(row: Row) -> StageSession:
    """Return the session of a row: stage ARN, id, start time, end time."""
    stage_arn, session_id, start_ms, end_ms = row
    return StageSession(stage_arn=stage_arn, session_id=session_id, start_ms=start_ms, end_ms=end_ms)


def resource_row(resource: Resource) -> Row:
    """Return the row of a resource for table `resource`, without its key."""
    resource_type = str(resource.__struct_config__.tag)
    return (resource.arn, resource.account_id, resource_type, _encode(resource).decode())


def resource_value(row: Row) -> Resource:
    """Return the resource of a row that holds only its JSON value."""
    return _decode_resource.decode(row[0])


def replica_value(row: Row) -> Replica:
    """Return the replica of a row: source stage, source session, participant, destination stage and session, state."""
    source_stage_arn, source_session_id, participant_id, destination_stage_arn, destination_session_id, state = row
    return Replica(
        source_stage_arn=source_stage_arn,
        source_session_id=source_session_id,
        participant_id=participant_id,
        destination_stage_arn=destination_stage_arn,
        destination_session_id=destination_session_id,
        state=REPLICATION_STATES[state],
    )
