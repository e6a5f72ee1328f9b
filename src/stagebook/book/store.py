"""The port of the book: the interface that every store of events and resources implements.

Writing: a transaction is a list of changes. `submit` assigns a sequence number to each of its events at once and makes
all changes durable together or not at all. Transactions become durable in the order in which they were submitted.

Reading: a read returns whole values, or a page of a list. A page is continued from a position, which is a key that is
never reused (for events, the sequence number). Pages therefore stay consistent while others are writing: an item that
existed at the first page is shown exactly once, provided it is not deleted.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Protocol

import msgspec

from stagebook.book.book_values import (
    EventRow,
    OpenParticipant,
    OpenRecording,
    Page,
    ParticipantFilter,
    RecordedEvent,
    RetentionStep,
    Revocation,
)
from stagebook.book.changes import Change
from stagebook.book.composition_reader import CompositionReader
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.stage.resources import ParticipantRecord, Replica, Resource, Stage, StageSession


class Durable(asyncio.Future[None]):
    """A future that completes when its transactions are durable. It cannot be cancelled.

    Transactions that are committed together share one. Several tasks may await it, and cancelling one of them must not
    cancel the future for the others.
    A task that is cancelled while it waits receives its CancelledError once the transaction is durable.
    """

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - the signature is asyncio's
        """Do nothing and return False."""
        return False


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A submitted transaction: the sequence numbers of its events, in order, and a future for its durability.

    `durable` fails with BookFailedError if the store could not commit. The book then accepts no more transactions.
    """

    sequences: tuple[int, ...]
    durable: Durable


class BookReader(Protocol):
    """Read access to a book. A read sees every durable transaction and does not wait for the writer.

    Every read raises BookDamagedError if it meets a damaged part of the book, and BookFailedError if the file cannot be
    read. An unknown or deleted stage, or an unknown session, reads as None or as an empty page. A store may be opened
    so that the sessions, participants and events of deleted stages can still be read. `after` is the `next_position` of
    the page before, None for the first page; `limit` is the maximum number of items.
    """

    @property
    def compositions(self) -> CompositionReader:
        """The reads of compositions."""

    def last_time_ms(self) -> int:
        """Return the time of the newest durable event or session end in milliseconds since the epoch, 0 if none.

        The server's wall clock must not go below this time. Sequence numbers only grow, so an event with an earlier
        time would be recorded with this one.
        """

    def get_stage(self, stage_arn: str) -> Stage | None:
        """Return the stage with the id of its active session, or None."""

    def has_had_stage(self, stage_arn: str) -> bool:
        """Return whether there is a stage with this ARN, or there was one whose rows are kept."""

    def list_stages(self, account_id: str, *, after: int | None, limit: int) -> Page[Stage]:
        """Return a page of the account's stages in order of creation."""

    def count_stages(self, account_id: str) -> int:
        """Return the number of stages of the account, without deleted ones."""

    def get_session(self, stage_arn: str, session_id: str) -> StageSession | None:
        """Return the session, open or ended, or None."""

    def list_sessions(self, stage_arn: str, *, after: int | None, limit: int) -> Page[StageSession]:
        """Return a page of the stage's sessions, newest first."""

    def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        """Return the participant in this session, or None."""

    def list_participants(
        self,
        stage_arn: str,
        session_id: str,
        *,
        where: ParticipantFilter,
        after: int | None,
        limit: int,
    ) -> Page[ParticipantRecord]:
        """Return a page of the session's participants that match `where`.

        The participant that was first put last comes first. Putting a participant again does not move it. A store may
        bound the work for a filter: a page then has fewer items than `limit`, or none, and still a next position.
        """

    def page_events(
        self,
        stage_arn: str,
        session_id: str,
        participant_id: str,
        *,
        after: int | None,
        limit: int,
        oldest_first: bool = False,
        of_deleted_stages: bool = False,
        of_recordings: bool = False,
    ) -> list[EventRow]:
        """Return at most `limit` events of one participant in this session, newest first by default.

        Only those that ListParticipantEvents can return (AWS_EVENT_NAMES), and with `of_recordings` those of
        recordings, too.

        With `of_deleted_stages`, those on a deleted stage too, whatever the book shows otherwise.

        `after` is the sequence number of the last event of the page before. There is no `next_position`: to learn
        whether more events remain, request one event more than is shown.
        """

    def has_revoked(self, stage_arn: str) -> bool:
        """Return whether any participant id may not join this stage again (see `RevokeParticipant`)."""

    def is_revoked(self, stage_arn: str, participant_id: str) -> bool:
        """Return whether this participant id may not join this stage again."""

    def iterate_revocations(self, account_id: str) -> Iterator[Revocation]:
        """Yield the revocations of participants on the account's stages, without deleted stages. Reads pages."""

    def iterate_revoked_connection_tokens(self, account_id: str) -> Iterator[str]:
        """Yield the ids of the account's connection tokens that were revoked (`RevokeConnectionToken`). Reads pages."""

    def get_resource(self, arn: str) -> Resource | None:
        """Return a standalone resource, or None."""

    def list_resources(self, account_id: str, resource_type: str, *, after: int | None, limit: int) -> Page[Resource]:
        """Return a page of the account's resources of one type, in order of creation.

        `resource_type` is the type as ARNs name it, for example `public-key`.
        """

    def list_resources_of_type(self, resource_type: str, *, after: int | None, limit: int) -> Page[Resource]:
        """Return a page of the resources of one type of all accounts, in order of creation. A start needs them."""

    def count_resources(self, account_id: str, resource_type: str) -> int:
        """Return the number of the account's resources of one type."""

    def list_replicas(
        self, source_stage_arn: str, participant_id: str, *, after: int | None, limit: int
    ) -> Page[Replica]:
        """Return a page of the replicas of a participant of a source stage, newest first, including stopped ones."""

    def list_active_replicas(self, *, account_id: str | None = None) -> list[Replica]:
        """Return every replica in state ACTIVE, also of deleted stages. Recovery after a restart needs them.

        With `account_id`, those of the account.
        """

    def has_bound_participants(self, account_id: str, stage_id: str) -> bool:
        """Return whether any participant of a stage is refused without a connection token (RevokeConnectionToken)."""

    def is_connection_token_revoked(self, account_id: str, token_id: str) -> bool:
        """Return whether this connection token of the account was revoked."""

    def list_open_sessions(self, *, account_id: str | None = None) -> list[StageSession]:
        """Return every open session, also of deleted stages. Recovery after a restart needs them.

        With `account_id`, those of the account.
        """

    def list_open_participants(
        self, stage_arn: str, session_id: str, *, after: int | None, limit: int
    ) -> Page[OpenParticipant]:
        """Return a page of the participants of an open session with events that nothing has ended.

        Also on a deleted stage. The cost does not depend on how many other events there are. Recovery after a restart
        needs it. Events that were submitted since the book was opened may be missing, until `note_open_events`.
        """

    def list_events(self, stage_arn: str, session_id: str, participant_id: str) -> list[RecordedEvent]:
        """Return all events of one participant in this session, oldest first, also on a deleted stage."""

    def list_open_recordings(self, *, account_id: str | None = None) -> list[OpenRecording]:
        """Return every recording that is neither STOPPED nor FAILED, also of ended sessions and deleted stages.

        Recovery after a restart needs it. With `account_id`, those of the account.
        """

    def first_event_ms(self) -> int | None:
        """Return the time of the oldest event in milliseconds since the epoch; None if there is no event."""

    def last_event_ms(self, stage_arn: str, session_id: str) -> int | None:
        """Return the time of the session's newest event in milliseconds since the epoch; None if it has no event.

        Also on a deleted stage. Recovery after a restart needs it.
        """


class Book(BookReader, Protocol):
    """A book that is open for writing. Only one process can have a book open for writing."""

    @property
    def backlog(self) -> int:
        """Number of transactions that were submitted and are not durable yet."""

    @property
    def submitted_time_ms(self) -> int:
        """The time of the newest event or session end that was submitted, 0 in a new book.

        As `last_time_ms`, but also of what is not durable yet. An event with an earlier time is recorded with this one.
        """

    def submit(self, changes: Sequence[Change]) -> Submission:
        """Queue a transaction and return its sequence numbers and a future for its durability.

        Sequence numbers are assigned and transactions become durable in the order of the calls. An empty transaction is
        durable once every transaction before it is. Must be called on the event loop's thread.

        Raises ChangeRefusedError if the transaction contradicts the book, including transactions that are queued and
        not yet durable; no change of it is applied. Raises BookFailedError if the book has failed or is closed.
        """

    async def note_open_events(self) -> None:
        """Let `list_open_participants` know every event that was submitted before this call.

        Raises BookFailedError, and BookBusyError if the database is busy.
        """

    def delete_old(self, policy: RetentionPolicy, *, now_ms: int) -> AsyncGenerator[RetentionStep]:
        """Delete what is older than `policy` allows at `now_ms`, in ms since the epoch, in steps.

        Deleted are ended sessions with their participants, events and replicas, the oldest of a stage first; ended
        compositions with their events; deleted stages that have no session left; and revocations that no valid token
        needs. A session with an active replica is
        kept. Reads see a session as a whole or not at all. Keys, sequence numbers and positions are not used again.

        A step writes a bounded number of rows. It waits until no transaction is queued, and a transaction that is
        submitted during a step waits for its end. So pause between the steps. The steps may stop at any time, also by
        a crash: the next call goes on. At the end, free space is cut off the file, if the file supports it.

        Raises BookFailedError, and BookBusyError if a step could not be made now.
        """

    async def close(self) -> None:
        """Commit every submitted transaction, then close the store. Idempotent."""
