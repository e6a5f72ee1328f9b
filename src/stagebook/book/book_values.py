"""The values that reads of the book take and return.

Resources, sessions and participants are values of the domain (`stage/resources.py`). Here are pages and filters of
them, and what only a store has: recorded events, open participants, open recordings and revocations.
"""

from collections.abc import Mapping
from typing import Generic, TypeAlias, TypeVar

import msgspec

from stagebook.book.changes import sequence_time_ms
from stagebook.stage.events import Event
from stagebook.stage.resources import ParticipantRecord, ParticipantState, RecordingState

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """Part of a list. `next_position` is the `after` of the next page; None if this page is the last."""

    items: list[Item]
    next_position: int | None


class ParticipantFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of participants. All given members must match; None matches every participant."""

    user_id: str | None = None
    published: bool | None = None
    state: ParticipantState | None = None
    recording_state: RecordingState | None = None


class Revocation(msgspec.Struct, frozen=True):
    """A participant id that may not join a stage again."""

    stage_arn: str
    participant_id: str


class OpenRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that is neither STOPPED nor FAILED, as `PutRecording` has written it last."""

    stage_arn: str
    session_id: str
    participant_id: str
    recording_id: str
    bucket_name: str
    prefix: str
    is_started: bool
    is_shown: bool


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is stored, including its cause and detail, which the AWS API does not show."""

    sequence: int
    participant_id: str
    event: Event

    @property
    def time_ms(self) -> int:
        """The time of the event, in milliseconds since the epoch."""
        return sequence_time_ms(self.sequence)


class OpenParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """A participant of an open session, and its events that nothing has ended, oldest first.

    JOINED is ended by LEFT, and PUBLISH_STARTED, SUBSCRIBE_STARTED and REPLICATION_STARTED by the *_STOPPED of the same
    publication, subscription or replication. Of several subscriptions to one publisher the newest event is repeated.
    """

    record: ParticipantRecord
    events: list[RecordedEvent]


class RetentionStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one step of `Book.delete_old` has deleted: the number of rows by table, and bytes cut off the file."""

    rows: Mapping[str, int] = {}
    freed_bytes: int = 0


EventRow: TypeAlias = tuple[int, int, int | None, str | None, int, bytes | str | None]
"""The members of an event that ListParticipantEvents returns. They stay undecoded because paging is a hot path.

In order: sequence number, index into EventName, index into ErrorCode or None, remote participant id or None, replica
(0 or 1), and the JSON of an EventExtra or None."""


class EventExtra(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members that few events have. A store keeps them in one JSON column."""

    destination_stage_arn: str | None = None
    destination_session_id: str | None = None
    exchange: msgspec.Raw = msgspec.Raw()
    recording: msgspec.Raw = msgspec.Raw()
