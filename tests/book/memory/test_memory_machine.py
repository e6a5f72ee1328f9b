"""Random transactions, reloads and restarts: memory in front of a SQLite book answers what the book answers."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from stagebook.book.changes import Change, DeleteStage, PutStage, RevokeConnectionToken, RevokeParticipant
from stagebook.book.decision_book import DecisionReader, NotFetchedError
from stagebook.book.memory import loaded_account
from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Book, Submission
from stagebook.book.tables import table_reader
from stagebook.book.tables.key_sequence import FollowingKeys
from stagebook.book.tables.loaded_row_keys import LoadedRowKeys
from tests.book.distant_book import DistantReads
from tests.book.sample import ACCOUNT, NOON_MS, stage
from tests.book.test_book_machine import (
    KEYS,
    PARTICIPANTS,
    SESSIONS,
    STAGES,
    TOKENS,
    BookMachine,
    participant_ids,
    session_ids,
    stage_arns,
    times_ms,
)

BOUND_TOKENS = tuple(f"{arn.rpartition('/')[2]}/p" for arn in STAGES)


class MemoryMachine(BookMachine):
    """As BookMachine, with memory that notes each submission."""

    def __init__(self) -> None:
        self.small_pages = [
            mock.patch.object(loaded_account, "VALUES_PER_PAGE", 1),
            mock.patch.object(table_reader, "REVOCATIONS_PER_PAGE", 1),
        ]
        for patch in self.small_pages:
            patch.start()
        self.reads: DistantReads | None = None
        super().__init__()

    def _open(self) -> SqliteBook:
        book = super()._open()
        assert isinstance(book, SqliteBook)
        submit = book.submit
        self.memory = self._load(book)

        def submit_and_note(changes: Sequence[Change]) -> Submission:
            submission = submit(changes)
            self.memory.note(changes, submission)
            return submission

        book.submit = submit_and_note  # type: ignore[method-assign]
        return book

    def _load(self, book: Book) -> MemoryBook:
        """Load the account into new memory. Its keys are not used: the book has its own."""
        if self.reads is not None:
            self.reads.reader.close_reading()
        self.reads = DistantReads(Path(self.folder.name) / "book", turns=lambda: 0)
        keys = LoadedRowKeys(
            stage_keys=FollowingKeys(0), session_keys=FollowingKeys(0), composition_keys=FollowingKeys(0)
        )
        memory = MemoryBook(book, keys=keys, reads=self.reads)
        # Nothing in a coroutine that reads without turns is awaited, so this also runs within a coroutine.
        with pytest.raises(StopIteration):
            memory.load_account(ACCOUNT).send(None)
        return memory

    @rule()
    def load_again(self) -> None:
        self.runner.run(self.durable())
        self.memory = self._load(self.book)
        self.check_reads()

    @rule(before_ms=times_ms, steps=st.sampled_from([1, 2, 3, 99]), show_deleted=st.booleans())
    def delete_what_is_old(self, before_ms: int, steps: int, *, show_deleted: bool) -> None:
        """Memory keeps the revocations that were deleted by age, until it is loaded again."""
        with mock.patch.object(self, "check_reads"):
            super().delete_what_is_old(before_ms, steps, show_deleted=show_deleted)
        self.load_again()

    @rule(token_id=st.sampled_from(BOUND_TOKENS), at_ms=times_ms)
    def bind(self, token_id: str, at_ms: int) -> None:
        self.submit([RevokeConnectionToken(account_id=ACCOUNT, token_id=token_id, at_ms=at_ms)])

    @rule(arn=stage_arns, participant_id=participant_ids, is_deleted=st.booleans())
    def make_a_stage(self, arn: str, participant_id: str, *, is_deleted: bool) -> None:
        """Make a stage that refuses a participant, and delete it at once, or not."""
        self.submit([PutStage(stage=stage(arn))])
        self.submit([RevokeParticipant(stage_arn=arn, participant_id=participant_id, at_ms=NOON_MS, reason="")])
        if is_deleted:
            self.submit([DeleteStage(stage_arn=arn, at_ms=NOON_MS)])

    @rule(arn=stage_arns, session_id=session_ids, participant_id=participant_ids)
    def fetch(self, arn: str, session_id: str, participant_id: str) -> None:
        async def fetch() -> None:
            await self.durable()
            await self.memory.fetch_participant(arn, session_id, participant_id)
            await self.memory.fetch_session(arn, session_id)

        self.runner.run(fetch())

    def check_reads(self) -> None:
        assert answers(self.memory) == answers(self.book)
        for arn, session_id, participant_id in itertools.product(STAGES, SESSIONS, PARTICIPANTS):
            self.check_fetched(arn, session_id, participant_id)

    def check_fetched(self, arn: str, session_id: str, participant_id: str) -> None:
        """Rows of open sessions, and whether a session had an id, are as in the book, or not at hand.

        Memory has no session of a deleted stage, which the book may show.
        """
        session = self.book.get_session(arn, session_id)
        if session is not None and session.end_ms is None and self.memory.get_stage(arn) is not None:
            assert self.memory.get_session(arn, session_id) == session
            if self.memory.is_participant_fetched(arn, session_id, participant_id):
                found = self.memory.get_participant(arn, session_id, participant_id)
                assert found == self.book.get_participant(arn, session_id, participant_id)
            else:
                with pytest.raises(NotFetchedError):
                    self.memory.get_participant(arn, session_id, participant_id)

    def check_crash(self) -> None:
        """A crash is the matter of the book."""

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            for patch in self.small_pages:
                patch.stop()
            if self.reads is not None:
                self.reads.reader.close_reading()


def answers(reader: DecisionReader) -> list[object]:
    """The answers to all reads of the present."""
    found: list[object] = [reader.count_stages(ACCOUNT), reader.count_resources(ACCOUNT, "public-key")]
    found += [reader.get_resource(arn) for arn in KEYS]
    found += [reader.is_connection_token_revoked(ACCOUNT, each) for each in (*TOKENS, *BOUND_TOKENS)]
    for arn in STAGES:
        stage = reader.get_stage(arn)
        found += [stage, reader.has_bound_participants(ACCOUNT, arn.rpartition("/")[2])]
        if stage is not None:
            found += [reader.has_revoked(arn), *(reader.is_revoked(arn, each) for each in PARTICIPANTS)]
    return found


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
