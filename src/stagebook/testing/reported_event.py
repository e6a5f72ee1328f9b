"""An event of a participant or composition, as the testing API reports it: the JSON form of the watch API."""

from datetime import datetime

import msgspec

from stagebook.testing.codes import (
    CompositionEventText,
    DestinationErrorText,
    ErrorCodeText,
    EventNameText,
    RecordingErrorText,
    RecordingEventText,
    SessionErrorText,
)


class ReportedToken(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the two tokens of TOKEN_EXCHANGED (shape ExchangedParticipantToken)."""

    capabilities: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    user_id: str = ""
    expiration_time: datetime | None = None


class ReportedRecording(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The recording of a RECORDING_* event: its place, its length when it has ended, and why it failed."""

    s3_bucket_name: str
    s3_prefix: str
    duration_ms: int | None = None
    error_code: RecordingErrorText | None = None
    reason: str | None = None


class ReportedEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event. Members that do not apply are None; `cause` and `detail` say why the event happened."""

    id: str
    sequence: str
    name: EventNameText | RecordingEventText
    event_time: datetime
    account_id: str
    stage_arn: str
    session_id: str
    participant_id: str
    user_id: str = ""
    remote_participant_id: str | None = None
    error_code: ErrorCodeText | None = None
    replica: bool = False
    destination_stage_arn: str | None = None
    destination_session_id: str | None = None
    previous_token: ReportedToken | None = None
    new_token: ReportedToken | None = None
    cause: str | None = None
    detail: str | None = None
    recording: ReportedRecording | None = None


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A list of events."""

    events: tuple[ReportedEvent, ...]


class ReportedCompositionEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event. Members that do not apply are None; `reason` is AWS's text for the error code."""

    id: str
    sequence: str
    name: CompositionEventText
    event_time: datetime
    account_id: str
    stage_arn: str
    composition_arn: str
    destination_id: str | None = None
    error_code: DestinationErrorText | SessionErrorText | None = None
    reason: str | None = None
    cause: str | None = None


class CompositionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The events that an action has made, and the state after it."""

    state: str
    events: tuple[ReportedCompositionEvent, ...]
