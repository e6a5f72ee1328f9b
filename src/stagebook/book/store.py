"""What the rest of Stagebook may ask of a book, whatever store lies below it.

Writing: a transaction is a list of changes. `submit` gives every event its sequence number at once and makes all
changes durable together or not at all. Reading: whole values, pages by position. No SQL, no wire, no manager here.
"""

import asyncio
from collections.abc import Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from stagebook.book.changes import Change, sequence_time_ms
from stagebook.stage.events import Event
from stagebook.stage.resources import ParticipantRecord, ParticipantState, Replica, Resource, Stage, StageSession


class Durable(asyncio.Future[None]):
    """Ends when a transaction is durable. It cannot be cancelled: a request that is cancelled while it waits gets its
    CancelledError once the transaction is durable, and the transaction does not notice."""

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - the signature is asyncio's
        """Refuse."""
        return False


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction on its way: the sequence number of each of its events, in order, and when it is durable.

    `durable` ends with BookFailedError if the store could not commit; the book takes nothing more after that.
    """

    sequences: tuple[int, ...]
    durable: Durable


class BookFailedError(Exception):
    """The store failed. The book is closed for writing: what was acknowledged stays, the server must stop."""


class BookRefusedError(Exception):
    """The file cannot be used as a book (newer, foreign, locked, damaged). The text says what to do."""


class ChangeRefusedError(Exception):
    """A transaction contradicts the book (an unknown participant, a second open session): the writer's own mistake.

    Nothing of it was taken and the book goes on.
    """


Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """Part of a list, and the position to continue after; None when nothing is left."""

    items: list[Item]
    next_position: int | None


class ParticipantFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which participants a list shows; None does not filter."""

    user_id: str | None = None
    published: bool | None = None
    state: ParticipantState | None = None


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the book, whole: also what the AWS wire does not show."""

    sequence: int
    participant_id: str
    event: Event

    @property
    def time_ms(self) -> int:
        """Milliseconds since the epoch."""
        return sequence_time_ms(self.sequence)


EventRow: TypeAlias = tuple[int, int, int | None, str | None, int, bytes | None]
"""One event as the AWS page needs it, undecoded because a page is a hot path: sequence, index into EventName,
index into ErrorCode or None, remote participant id or None, replica 0/1, and extra or None. `extra` is the JSON of
EventExtra."""


class EventExtra(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rare members of an event, kept together as one JSON column."""

    destination_stage_arn: str | None = None
    destination_session_id: str | None = None
    exchange: msgspec.Raw = msgspec.Raw()


class BookReader(Protocol):
    """Reads. They see every durable transaction, never wait for the writer, and never change anything.

    An unknown or deleted stage, or an unknown session, reads as None or as an empty page.
    """

    def last_event_ms(self) -> int:
        """Return the time of the newest sequence number, in milliseconds since the epoch; 0 for a book without events.

        A server's clock must not start below it: sequence numbers only grow, so an event with an earlier time would be
        recorded at this one.
        """

    def get_stage(self, stage_arn: str) -> Stage | None:
        """Return the stage, with its active session's id, or None."""

    def list_stages(self, account_id: str, *, after: int | None, limit: int) -> Page[Stage]:
        """Return stages of an account in order of creation."""

    def count_stages(self, account_id: str) -> int:
        """Return how many stages the account has."""

    def get_session(self, stage_arn: str, session_id: str) -> StageSession | None:
        """Return the session or None."""

    def list_sessions(self, stage_arn: str, *, after: int | None, limit: int) -> Page[StageSession]:
        """Return sessions of a stage, newest first."""

    def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        """Return the participant or None."""

    def list_participants(
        self,
        stage_arn: str,
        session_id: str,
        *,
        where: ParticipantFilter,
        after: int | None,
        limit: int,
    ) -> Page[ParticipantRecord]:
        """Return participants of a session that match, newest first by their first appearance."""

    def page_events(
        self,
        stage_arn: str,
        session_id: str,
        participant_id: str,
        *,
        after: int | None,
        limit: int,
        oldest_first: bool = False,
    ) -> list[EventRow]:
        """Return at most `limit` events of one participant, newest first unless told, after the position `after`.

        The position is the sequence of the last event already seen. Ask for one more than you show to learn
        whether more remain.
        """

    def list_revoked(self, stage_arn: str) -> list[str]:
        """Return every participant id that was disconnected for good on this stage."""

    def get_resource(self, arn: str) -> Resource | None:
        """Return a resource that stands beside stages, or None."""

    def list_resources(self, account_id: str, resource_type: str, *, after: int | None, limit: int) -> Page[Resource]:
        """Return an account's resources of one type (as in ARNs: `public-key` ...) in order of creation."""

    def count_resources(self, account_id: str, resource_type: str) -> int:
        """Return how many resources of one type the account has."""

    def list_replicas(
        self, source_stage_arn: str, participant_id: str, *, after: int | None, limit: int
    ) -> Page[Replica]:
        """Return the replications of a participant of a stage, newest first, also those that have stopped."""

    def list_active_replicas(self) -> list[Replica]:
        """Return every replication whose state is ACTIVE: after a start, what the last run left open."""

    def is_connection_token_revoked(self, account_id: str, token_id: str) -> bool:
        """Return whether this connection token was revoked."""

    def list_open_sessions(self) -> list[StageSession]:
        """Return every session without an end: after a start, what the last run left open."""

    def list_connected_participants(self, stage_arn: str, session_id: str) -> list[ParticipantRecord]:
        """Return the participants of a session whose state is CONNECTED."""

    def list_events(self, stage_arn: str, session_id: str, participant_id: str) -> list[RecordedEvent]:
        """Return all events of one participant, oldest first, whole."""


class Book(BookReader, Protocol):
    """A book open for writing. There is one in the whole system."""

    def submit(self, changes: Sequence[Change]) -> Submission:
        """Take a transaction. Sequence numbers are given now, in the order of calls; durability comes with
        `durable`. Transactions become durable in the order of calls. Must be called on the event loop's thread.

        Raises BookFailedError if the book has failed or is closed, ChangeRefusedError if the transaction contradicts
        what the book holds; then nothing of it was taken.
        """

    async def close(self) -> None:
        """Commit what was submitted, then close the store. Idempotent."""
