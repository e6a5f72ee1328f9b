"""A book that is a round trip away, with the reads of decisions answered from memory. Implements `DecisionBook`."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from stagebook.book.changes import AppendEvent, Change, OpenSession, PutParticipant, PutRecording
from stagebook.book.decision_book import NotFetchedError
from stagebook.book.memory.account_memory import AccountMemory
from stagebook.book.memory.fetched_rows import FetchedRows
from stagebook.book.memory.loaded_account import read_account
from stagebook.book.store import BookReader, Submission
from stagebook.book.tables.loaded_row_keys import LoadedRowKeys
from stagebook.book.tables.table_reader import TableReader
from stagebook.stage.arns import parse_arn
from stagebook.stage.resources import ParticipantRecord, Resource, Stage, StageSession

_Result = TypeVar("_Result")


class BookReads(Protocol):
    """Runs reads beside the event loop, as `ReaderPool`."""

    async def run(self, account_id: str, read: Callable[[TableReader], _Result], /) -> _Result:
        """Return what `read` returns. It sees every transaction that was durable at the call. Raises what it raises."""


class SubmittedBook(Protocol):
    """The writing part of the book. Its transactions are checked with the row keys of the `MemoryBook`."""

    @property
    def backlog(self) -> int:
        """See `Book.backlog`."""

    @property
    def submitted_time_ms(self) -> int:
        """See `Book.submitted_time_ms`."""

    def submit(self, changes: Sequence[Change]) -> Submission:
        """See `Book.submit`."""

    async def note_open_events(self) -> None:
        """See `Book.note_open_events`."""


class MemoryBook:
    """The accounts that were loaded. `keys` are the row keys with which `book` checks its transactions."""

    def __init__(self, book: SubmittedBook, *, keys: LoadedRowKeys, reads: BookReads) -> None:
        self._book = book
        self._keys = keys
        self._reads = reads
        self._memory = AccountMemory()
        self._participants: FetchedRows[ParticipantRecord] = FetchedRows()
        self._sessions: FetchedRows[StageSession] = FetchedRows()
        self.get_stage: Callable[[str], Stage | None] = self._memory.get_stage
        self.get_resource: Callable[[str], Resource | None] = self._memory.get_resource
        self.count_stages = self._memory.count_stages
        self.count_resources = self._memory.count_resources
        self.has_revoked = self._memory.has_revoked
        self.is_revoked = self._memory.is_revoked
        self.has_bound_participants = self._memory.has_bound_participants
        self.is_connection_token_revoked = self._memory.is_connection_token_revoked

    async def load_account(self, account_id: str) -> None:
        """Load an account that this node owns from now on, and whose row keys `book` has.

        Call it before anything of the account is decided. Raises BookFailedError and ServerBusyError.
        """
        self._memory.add(await self._reads.run(account_id, lambda reader: read_account(reader, account_id)))

    @property
    def backlog(self) -> int:
        """See `Book.backlog`."""
        return self._book.backlog

    @property
    def submitted_time_ms(self) -> int:
        """See `Book.submitted_time_ms`."""
        return self._book.submitted_time_ms

    def submit(self, changes: Sequence[Change]) -> Submission:
        """Queue a transaction, and apply it to memory when it is durable. Raises as `Book.submit` does."""
        submission = self._book.submit(changes)
        self.note(changes, submission)
        return submission

    def note(self, changes: Sequence[Change], submission: Submission) -> None:
        """Note a transaction that was submitted."""
        applied: list[Change] = []
        for change in changes:
            # The two most frequent changes come first.
            if type(change) is AppendEvent:
                continue
            if type(change) is PutParticipant:
                self._participants.discard((change.stage_arn, change.session_id, change.participant.participant_id))
            elif type(change) is PutRecording:
                self._participants.discard((change.stage_arn, change.session_id, change.participant_id))
            elif self._memory.holds(change):
                applied.append(change)
                if type(change) is OpenSession:
                    self._sessions.discard((change.stage_arn, change.session_id))
        if applied:
            submission.durable.add_done_callback(partial(self._apply, applied))

    def _apply(self, changes: Sequence[Change], durable: asyncio.Future[None]) -> None:
        if durable.exception() is None:
            for change in changes:
                self._memory.apply(change)

    async def note_open_events(self) -> None:
        """See `Book.note_open_events`."""
        await self._book.note_open_events()

    async def read(self, account_id: str | None, read: Callable[[BookReader], _Result], /) -> _Result:
        """Return what `read` returns; see `DecisionBook.read`."""
        return await self._reads.run(account_id or "", read)

    async def has_had(self, arn: str) -> bool:
        """Return whether there is or was a stage or a composition with this ARN."""
        return await self._reads.run(
            parse_arn(arn).account_id,
            lambda reader: reader.has_had_stage(arn) or reader.compositions.find(arn) is not None,
        )

    def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        """Return a participant that was fetched, or None. Raises NotFetchedError."""
        try:
            return self._participants.get((stage_arn, session_id, participant_id))
        except KeyError:
            raise NotFetchedError(f"participant {participant_id} of session {session_id}") from None

    def is_participant_fetched(self, stage_arn: str, session_id: str, participant_id: str) -> bool:
        """Return whether `get_participant` can answer for a participant."""
        return self._participants.has((stage_arn, session_id, participant_id))

    async def fetch_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """Fetch the row of a participant of an open session, and its number; see `DecisionBook.fetch_participant`."""
        key = (stage_arn, session_id, participant_id)
        fetch = self._participants.begin(key)
        try:
            found = await self._reads.run(
                parse_arn(stage_arn).account_id, lambda reader: reader.get_numbered_participant(*key)
            )
            if self._participants.finish(key, fetch, None if found is None else found[0]) and found is not None:
                self._keys.add_number(*key, found[1])
        finally:
            self._participants.give_up(key, fetch)

    def get_session(self, stage_arn: str, session_id: str) -> StageSession | None:
        """Return the open session of a stage, or one that was fetched, or None. Raises NotFetchedError."""
        opened = self._memory.get_open_session(stage_arn)
        if opened is not None and opened.session_id == session_id:
            return opened
        try:
            return self._sessions.get((stage_arn, session_id))
        except KeyError:
            raise NotFetchedError(f"session {session_id} of stage {stage_arn}") from None

    async def fetch_session(self, stage_arn: str, session_id: str) -> None:
        """Fetch the row of a session, if there is one."""
        key = (stage_arn, session_id)
        fetch = self._sessions.begin(key)
        try:
            account_id = parse_arn(stage_arn).account_id
            found = await self._reads.run(account_id, lambda reader: reader.get_session(*key))
            self._sessions.finish(key, fetch, found)
        finally:
            self._sessions.give_up(key, fetch)

    def forget_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """Drop the number of a participant that the manager has forgotten."""
        self._participants.discard((stage_arn, session_id, participant_id))
        self._keys.forget_participant(stage_arn, session_id, participant_id)
