"""Random transactions, refused ones, reads and restarts: the books against a model in plain Python."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar
from unittest import mock

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from msgspec.structs import replace

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.book_values import OpenRecording, Page, ParticipantFilter
from stagebook.book.changes import (
    SEQUENCE_TIME_SHIFT,
    Change,
    DeleteResource,
    DeleteStage,
    PutRecording,
    PutReplica,
    PutStage,
    RevokeConnectionToken,
    RevokeParticipant,
    sequence_time_ms,
)
from stagebook.book.postgres.postgres_book import PostgresBook
from stagebook.book.postgres.postgres_readers import open_reader
from stagebook.book.retention_policy import DAY_MS, RetentionPolicy
from stagebook.book.sqlite import open_events
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Durable
from stagebook.book.tables.table_reader import TableReader
from stagebook.stage.events import (
    AWS_EVENT_NAMES,
    ErrorCode,
    Event,
    EventName,
    RecordingDetails,
    ReplicationDestination,
)
from stagebook.stage.resources import ParticipantRecord, ParticipantState, RecordingState, ReplicationState, Stage
from tests.book.book_model import BookModel, ContradictionError, ModelSession, ModelStage, newest_first
from tests.book.postgres_books import PostgresBooks
from tests.book.sample import (
    ACCOUNT,
    ARN,
    KEY_ARN,
    NOON_MS,
    OTHER_ARN,
    append,
    end_session,
    open_book,
    open_session,
    public_key,
    put,
    put_resource,
    replica,
    stage,
)

STAGES = (ARN, OTHER_ARN)
SESSIONS = ("st-1", "st-2", "st-3")
PARTICIPANTS = ("p", "q", "r")
KEEPS_A_DAY = RetentionPolicy(default_days=1, participant_token_ms=0, connection_token_ms=0)
KEYS = (KEY_ARN, KEY_ARN + "2")
TOKENS = ("one", "two")

Item = TypeVar("Item")

stage_arns, session_ids, participant_ids = map(st.sampled_from, (STAGES, SESSIONS, PARTICIPANTS))
times_ms = st.integers(-5, 5).map(lambda offset: NOON_MS + offset)
records = st.builds(
    ParticipantRecord,
    participant_id=participant_ids,
    user_id=st.sampled_from(["", "ada"]),
    state=st.sampled_from(ParticipantState),
    first_join_ms=st.one_of(st.none(), times_ms),
    attributes=st.sampled_from([{}, {"role": "host", "é": "\x01'\""}]),
    published=st.booleans(),
)
recorded_events = st.builds(
    Event,
    name=st.sampled_from(EventName),
    remote_participant_id=st.sampled_from([None, "q"]),
    error_code=st.sampled_from([None, *ErrorCode]),
    replica=st.booleans(),
    destination=st.sampled_from([None, ReplicationDestination(stage_arn=OTHER_ARN, session_id="st-1")]),
    detail=st.sampled_from([None, "why"]),
    recording=st.sampled_from([None, RecordingDetails(bucket_name="bucket", prefix="a/b", duration_ms=5)]),
)
changes = st.one_of(
    st.builds(lambda arn, name: PutStage(stage=stage(arn, name=name)), stage_arns, st.sampled_from("ab")),
    st.builds(lambda each, arn, at_ms: open_session(each, arn=arn, start_ms=at_ms), session_ids, stage_arns, times_ms),
    st.builds(lambda each, arn, at_ms: end_session(each, arn=arn, end_ms=at_ms), session_ids, stage_arns, times_ms),
    st.builds(lambda record, each, arn: put(record, session_id=each, arn=arn), records, session_ids, stage_arns),
    st.builds(
        lambda participant_id, event, at, session_id, arn: append(
            participant_id, event, at_ms=at, session_id=session_id, arn=arn
        ),
        participant_ids,
        recorded_events,
        times_ms,
        session_ids,
        stage_arns,
    ),
    st.builds(
        PutRecording,
        stage_arn=stage_arns,
        session_id=session_ids,
        participant_id=participant_ids,
        recording_id=st.sampled_from(["one", "two"]),
        state=st.sampled_from([each for each in RecordingState if each is not RecordingState.DISABLED]),
        bucket_name=st.just("bucket"),
        prefix=st.sampled_from(["a/b", "c"]),
        is_started=st.booleans(),
        is_shown=st.booleans(),
    ),
    st.builds(
        lambda arn, participant_id, at_ms: RevokeParticipant(
            stage_arn=arn, participant_id=participant_id, at_ms=at_ms, reason=""
        ),
        stage_arns,
        participant_ids,
        times_ms,
    ),
    st.builds(lambda arn, name: put_resource(public_key(arn, name=name)), st.sampled_from(KEYS), st.sampled_from("ab")),
    st.builds(lambda arn: DeleteResource(arn=arn), st.sampled_from(KEYS)),
    st.builds(
        lambda participant_id, source, destination, state: PutReplica(
            replica=replica(participant_id, source=source, destination=destination, state=state)
        ),
        participant_ids,
        st.tuples(stage_arns, session_ids),
        st.tuples(stage_arns, session_ids),
        st.sampled_from(ReplicationState),
    ),
    st.builds(
        lambda token_id, at_ms: RevokeConnectionToken(account_id=ACCOUNT, token_id=token_id, at_ms=at_ms),
        st.sampled_from(TOKENS),
        times_ms,
    ),
)


def unended_events(events: list[Event]) -> list[Event]:
    """Return the starts that no end follows, oldest first; of several about the same the newest, repeated."""
    starts = {EventName(end.value.replace("STOPPED", "STARTED")): end for end in EventName if "STOPPED" in end}
    starts[EventName.JOINED] = EventName.LEFT
    ends = {end: start for start, end in starts.items()}
    counts: dict[tuple[EventName, object], int] = {}
    newest: dict[tuple[EventName, object], int] = {}
    for number, event in enumerate(events):
        if event.name in starts or event.name in ends:
            # Only starts and ends of replications have a destination. The machine gives it, and a recording, to all.
            about = event.remote_participant_id or (event.destination, event.recording)
            key = (ends.get(event.name, event.name), about)
            counts[key] = counts.get(key, 0) + (1 if event.name in starts else -1)
            if event.name in starts:
                newest[key] = number
    unended = sorted(newest[key] for key, count in counts.items() for _ in range(count))
    return [events[number] for number in unended]


class BookMachine(RuleBasedStateMachine):
    """Submits transactions to a book and to its model, and compares all reads once everything is durable."""

    def __init__(self) -> None:
        super().__init__()
        # Small, so that some events are noted and some are not.
        self.unnoted = mock.patch.object(open_events, "MAXIMUM_UNNOTED_EVENTS", 4)
        self.unnoted.start()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.model = BookModel()
        self.show_deleted = False
        self.last: Durable | None = None
        self.book = self._open()

    def _open(self) -> SqliteBook | PostgresBook:
        path = Path(self.folder.name) / "book"
        loop = self.runner.get_loop()
        return open_book(path, loop=loop, show_deleted_history=self.show_deleted)

    def submit(self, transaction: list[Change]) -> None:
        """Submit to both. They agree on what is refused, and on the sequence numbers of what is not."""

        async def submit() -> None:
            translator = self.book._translator
            self.model.sequence_slot, self.model.sequence_slots = translator._slot, translator._slots
            try:
                model, sequences = self.model.after(transaction)
            except ContradictionError:
                with pytest.raises(ChangeRefusedError):
                    self.book.submit(transaction)
                return
            submission = self.book.submit(transaction)
            assert submission.sequences == sequences
            self.model, self.last = model, submission.durable

        self.runner.run(submit())

    @rule(transaction=st.lists(changes, min_size=1, max_size=4))
    def submit_anything(self, transaction: list[Change]) -> None:
        self.submit(transaction)

    @rule(arn=stage_arns, session_id=session_ids, at_ms=times_ms)
    def open_a_session(self, arn: str, session_id: str, at_ms: int) -> None:
        self.submit([PutStage(stage=stage(arn)), open_session(session_id, arn=arn, start_ms=at_ms)])

    @rule(arn=stage_arns, record=records, events=st.lists(recorded_events, max_size=4), at_ms=times_ms)
    def record_events(self, arn: str, record: ParticipantRecord, events: list[Event], at_ms: int) -> None:
        session = self.model.stages[arn].open_session if arn in self.model.stages else None
        session_id = SESSIONS[0] if session is None else session.value.session_id
        where = {"session_id": session_id, "arn": arn}
        appended = [append(record.participant_id, event, at_ms=at_ms, **where) for event in events]
        self.submit([put(record, **where), *appended])

    @rule(arn=stage_arns, at_ms=times_ms, delete=st.sampled_from([False, False, False, True]))
    def end_the_session(self, arn: str, at_ms: int, *, delete: bool) -> None:
        session = self.model.stages[arn].open_session if arn in self.model.stages else None
        session_id = SESSIONS[0] if session is None else session.value.session_id
        deletion = [DeleteStage(stage_arn=arn, at_ms=at_ms)] if delete else []
        self.submit([end_session(session_id, arn=arn, end_ms=at_ms), *deletion])

    @rule(before_ms=times_ms, steps=st.sampled_from([1, 2, 3, 99]), show_deleted=st.booleans())
    def delete_what_is_old(self, before_ms: int, steps: int, *, show_deleted: bool) -> None:
        """Make some steps of a run and restart the book if it was not complete, then make a complete run."""

        async def delete() -> None:
            await self.durable()
            for maximum_steps in (steps, 99):
                counted = 0
                async with aclosing(self.book.delete_old(KEEPS_A_DAY, now_ms=before_ms + DAY_MS)) as run:
                    async for _ in run:
                        counted += 1
                        if counted == maximum_steps:
                            break
                if counted < maximum_steps:
                    return
                await self.book.close()
                self.show_deleted = show_deleted
                self.book = self._open()

        self.runner.run(delete())
        self.model = self.model.without_old(before_ms)
        self.check_reads()

    @rule(show_deleted=st.booleans())
    def close_and_reopen(self, *, show_deleted: bool) -> None:
        self.runner.run(self.book.close())
        self.show_deleted = show_deleted
        self.book = self._open()
        self.check_reads()
        self.check_recovery(self.book)

    @rule()
    def read_everything(self) -> None:
        self.runner.run(self.durable())
        self.check_reads()
        self.check_crash()

    def check_crash(self) -> None:
        """Open the files as a crash at this moment would leave them."""
        with tempfile.TemporaryDirectory() as folder:
            for file in Path(self.folder.name).glob("book*"):
                shutil.copy(file, folder)
            book = open_book(Path(folder) / "book", loop=self.runner.get_loop())
            try:
                self.check_recovery(book)
            finally:
                self.runner.run(book.close())

    async def durable(self) -> None:
        """Wait until everything is durable."""
        if self.last is not None:
            await self.last

    def teardown(self) -> None:
        try:
            self.read_everything()
        finally:
            self.unnoted.stop()
            self.runner.run(self.book.close())
            self.runner.close()
            self.folder.cleanup()

    # Every read, compared with the model.

    def check_reads(self) -> None:
        book, model = self.book, self.model
        existing = [each for each in model.stages.values() if not each.is_deleted]
        assert pages(lambda after: book.list_stages(ACCOUNT, after=after, limit=1)) == [
            shown(each) for each in existing
        ]
        assert book.count_stages(ACCOUNT) == len(existing)
        assert book.last_time_ms() == model.last_sequence >> SEQUENCE_TIME_SHIFT
        for arn in STAGES:
            self.check_stage(arn, model.stages.get(arn))
        everything = [session for each in model.stages.values() for session in each.sessions.values()]
        unended = [session.value for session in everything if session.value.end_ms is None]
        assert book.list_open_recordings() == [
            OpenRecording(**{name: getattr(model.recordings[each], name) for name in OpenRecording.__struct_fields__})
            for each in sorted(model.recordings)
        ]
        assert sorted(book.list_open_sessions(), key=repr) == sorted(unended, key=repr)
        self.check_resources()
        assert book.list_active_replicas() == model.active_replicas()
        for token_id in TOKENS:
            is_revoked = (ACCOUNT, token_id) in model.revoked_connections
            assert book.is_connection_token_revoked(ACCOUNT, token_id) == is_revoked

    def check_stage(self, arn: str, model: ModelStage | None) -> None:
        book = self.book
        is_readable = model is not None and (self.show_deleted or not model.is_deleted)
        assert book.get_stage(arn) == (None if model is None or model.is_deleted else shown(model))
        revoked = {participant_id for participant_id in PARTICIPANTS if book.is_revoked(arn, participant_id)}
        assert revoked == set(() if model is None else model.revoked)
        assert book.has_revoked(arn) == bool(revoked)
        sessions = newest_first(model.sessions) if model is not None and is_readable else []
        listed = pages(partial(book.list_sessions, arn, limit=2))
        assert listed == [session.value for session in sessions]
        for session_id in SESSIONS:
            session = None if model is None else model.sessions.get(session_id)
            self.check_session(arn, session_id, session, is_readable=is_readable)
        for participant_id in PARTICIPANTS:
            replicas = [
                each
                for each in reversed(self.model.replicas.values())
                if each.source_stage_arn == arn and each.participant_id == participant_id and is_readable
            ]
            assert pages(partial(book.list_replicas, arn, participant_id, limit=1)) == replicas

    def check_session(self, arn: str, session_id: str, session: ModelSession | None, *, is_readable: bool) -> None:
        book, where = self.book, (arn, session_id)
        everybody = [] if session is None else newest_first(session.participants)
        for participant_id in PARTICIPANTS:
            events = [] if session is None else session.events.get(participant_id, [])
            listed = book.list_events(*where, participant_id)
            assert [(entry.sequence, entry.event) for entry in listed] == events
            self.check_event_pages(where, participant_id, events if is_readable else [])
        self.check_last_event(where, {} if session is None else session.events)
        if not is_readable:
            session, everybody = None, []
        assert book.get_session(*where) == (None if session is None else session.value)
        for participant_id in PARTICIPANTS:
            expected = None if session is None else session.participants.get(participant_id)
            assert book.get_participant(*where, participant_id) == expected
        for user_id, published, state, recorded in itertools.product(
            (None, "ada"), (None, True, False), (None, "CONNECTED"), (None, "STOPPED", "DISABLED")
        ):
            selected = ParticipantFilter(
                user_id=user_id,
                published=published,
                state=None if state is None else ParticipantState(state),
                recording_state=None if recorded is None else RecordingState(recorded),
            )
            listed_records = pages(partial(book.list_participants, *where, where=selected, limit=2))
            assert listed_records == [record for record in everybody if matches(record, selected)]

    def check_recovery(self, book: TableReader) -> None:
        """Check what a book that was just opened says of its last sequence number, and of what is open."""
        assert book.last_sequence() == self.model.last_sequence
        for arn, session_id in itertools.product(STAGES, SESSIONS):
            model = self.model.stages.get(arn)
            session = None if model is None else model.sessions.get(session_id)
            self.check_open_participants(book, (arn, session_id), session)

    def check_open_participants(self, book: TableReader, where: tuple[str, str], session: ModelSession | None) -> None:
        listed = pages(partial(book.list_open_participants, *where, limit=2))
        found = {each.record.participant_id: [entry.event for entry in each.events] for each in listed}
        assert len(found) == len(listed)
        if session is not None and session.value.end_ms is None:
            events = {one: [event for _, event in entries] for one, entries in session.events.items()}
            assert found == {one: unended for one, each in events.items() if (unended := unended_events(each))}
            assert [each.record for each in listed] == [session.participants[one] for one in found]

    def check_last_event(self, where: tuple[str, str], events: dict[str, list[tuple[int, Event]]]) -> None:
        newest = max((sequence for listed in events.values() for sequence, _ in listed), default=None)
        assert self.book.last_event_ms(*where) == (None if newest is None else sequence_time_ms(newest))

    def check_event_pages(self, where: tuple[str, str], participant_id: str, events: list[tuple[int, Event]]) -> None:
        for oldest_first in (False, True):
            found: list[int] = []
            after: int | None = None
            while rows := self.book.page_events(
                *where, participant_id, after=after, limit=2, oldest_first=oldest_first
            ):
                found += [row[0] for row in rows]
                after = found[-1]
            sequences = [sequence for sequence, event in events if event.name in AWS_EVENT_NAMES]
            assert found == (sequences if oldest_first else sequences[::-1])

    def check_resources(self) -> None:
        book, model = self.book, self.model
        expected = list(model.resources.values())
        assert pages(partial(book.list_resources, ACCOUNT, "public-key", limit=1)) == expected
        assert book.count_resources(ACCOUNT, "public-key") == len(expected)
        for arn in KEYS:
            assert book.get_resource(arn) == model.resources.get(arn)


class PostgresBookMachine(BookMachine):
    """The same with books in PostgreSQL, each opened by a new run of a node."""

    url: ClassVar[str]

    def __init__(self) -> None:
        self.books = PostgresBooks(self.url)
        super().__init__()

    def _open(self) -> SqliteBook | PostgresBook:
        return self.books.open(loop=self.runner.get_loop(), show_deleted_history=self.show_deleted)

    def check_crash(self) -> None:
        """Read what another node would find at this moment."""
        reader = open_reader(self.url, show_deleted_history=True)
        try:
            self.check_recovery(reader)
        finally:
            reader.close_reading()


def shown(model: ModelStage) -> Stage:
    """A stage as reads show it: with the id of its open session."""
    session = model.open_session
    return replace(model.value, active_session_id=None if session is None else session.value.session_id)


def matches(record: ParticipantRecord, where: ParticipantFilter) -> bool:
    return (
        where.user_id in (None, record.user_id)
        and where.published in (None, record.published)
        and where.state in (None, record.state)
        and where.recording_state in (None, record.recording_state)
    )


def pages(read: Callable[..., Page[Item]]) -> list[Item]:
    """All items of a list, read page by page."""
    found: list[Item] = []
    after: int | None = None
    while True:
        page = read(after=after)
        found += page.items
        after = page.next_position
        if after is None:
            return found


TestBookMachine = BookMachine.TestCase
TestBookMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_the_book_in_postgres_agrees_with_the_model(postgres_database: str) -> None:
    class Machine(PostgresBookMachine):
        url = postgres_database

    # A failure is not made smaller: each attempt takes seconds.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=3, stateful_step_count=15, deadline=None, phases=phases)
    )
