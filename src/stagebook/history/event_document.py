"""The JSON form of an event, which is the same in search results, live tail, webhooks, exports and the console.

It has the members of shape Event of the `ivs-realtime` model with the same names, and those that the model lacks: the
id, the sequence number, what identifies the participant, the cause and the detail. Members that do not apply are left
out. The sequence number is a string, because it exceeds the integers that JavaScript represents exactly.
"""

import msgspec

from stagebook.book.event_log import LoggedEvent
from stagebook.stage.events import ExchangedToken, RecordingDetails
from stagebook.stage.timestamps import iso8601


class ExchangedTokenDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Shape ExchangedParticipantToken."""

    capabilities: tuple[str, ...]
    attributes: dict[str, str]
    user_id: str
    expiration_time: str


class RecordingDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A recording, in RECORDING_* events: where it is, its length, and the failure if there was one."""

    s3_bucket_name: str
    s3_prefix: str
    duration_ms: int | None = None
    error_code: str | None = None
    reason: str | None = None


class EventDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event. Times are ISO 8601 in UTC with milliseconds: `2023-04-26T20:36:28.143Z`."""

    id: str
    sequence: str
    event_time: str
    name: str
    account_id: str
    stage_arn: str
    session_id: str
    participant_id: str
    user_id: str = ""
    remote_participant_id: str | None = None
    error_code: str | None = None
    replica: bool = False
    destination_stage_arn: str | None = None
    destination_session_id: str | None = None
    previous_token: ExchangedTokenDocument | None = None
    new_token: ExchangedTokenDocument | None = None
    cause: str | None = None
    detail: str | None = None
    recording: RecordingDocument | None = None


def event_document(logged: LoggedEvent) -> EventDocument:
    """Return the document of an event."""
    event, destination, exchange = logged.event, logged.event.destination, logged.event.exchange
    return EventDocument(
        id=logged.event_id,
        sequence=str(logged.sequence),
        event_time=iso8601(logged.time_ms),
        name=event.name.value,
        account_id=logged.account_id,
        stage_arn=logged.stage_arn,
        session_id=logged.session_id,
        participant_id=logged.participant_id,
        user_id=logged.user_id,
        remote_participant_id=event.remote_participant_id,
        error_code=None if event.error_code is None else event.error_code.value,
        replica=event.replica,
        destination_stage_arn=None if destination is None else destination.stage_arn,
        destination_session_id=None if destination is None else destination.session_id,
        previous_token=None if exchange is None else _token_document(exchange.previous),
        new_token=None if exchange is None else _token_document(exchange.new),
        cause=None if event.cause is None else event.cause.value,
        detail=event.detail,
        recording=None if event.recording is None else _recording_document(event.recording),
    )


def _recording_document(recording: RecordingDetails) -> RecordingDocument:
    return RecordingDocument(
        s3_bucket_name=recording.bucket_name,
        s3_prefix=recording.prefix,
        duration_ms=recording.duration_ms,
        error_code=None if recording.error_code is None else recording.error_code.value,
        reason=recording.reason,
    )


def _token_document(token: ExchangedToken) -> ExchangedTokenDocument:
    return ExchangedTokenDocument(
        capabilities=token.capabilities,
        attributes=token.attributes,
        user_id=token.user_id,
        expiration_time=iso8601(token.expiration_ms),
    )
