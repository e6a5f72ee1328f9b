"""A book of two accounts with a few stages, participants, users and compositions, whose events are chosen by a test."""

from pathlib import Path
from typing import Self, TypeAlias

import apsw
import msgspec
from hypothesis import strategies as st

from stagebook.book.changes import AppendCompositionEvent, PutComposition, PutStage
from stagebook.book.composition_log import LogEntry
from stagebook.book.sqlite.open_readers import open_event_log
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.history.event_query import EventFilter
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)
from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from stagebook.stage.resources import ParticipantRecord
from tests.book.sample import NOON_MS, append, commit, composition, open_book, open_session, put, stage

ACCOUNTS = ("111111111111", "222222222222")
STAGES = tuple(
    (account, f"arn:aws:ivs:us-west-2:{account}:stage/stage{number}") for account in ACCOUNTS for number in (1, 2)
)
PARTICIPANTS = ("p1", "p2", "p3")
USERS = ("", "ann", "bob")
NAMES = (EventName.JOINED, EventName.LEFT, EventName.PUBLISH_ERROR, EventName.TOKEN_EXCHANGED)
CODES = (None, ErrorCode.QUOTA_EXCEEDED, ErrorCode.INVALID_INPUT)
CAUSES = (None, Cause.CLIENT, Cause.LIMIT)
COMPOSITIONS = tuple(
    (account, stage_arn, f"arn:aws:ivs:us-west-2:{account}:composition/composition{number}")
    for account, stage_arn in STAGES[1:3]
    for number in (1, 2)
)
COMPOSITION_NAMES = (CompositionEventName.COMPOSITION_STARTED, CompositionEventName.COMPOSITION_FAILED)
COMPOSITION_CODES = (None, CompositionErrorCode.STAGE_DELETED)
COMPOSITION_CAUSES = (None, CompositionCause.STAGE_DELETED)


class PlannedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to write. `user` is the user id of the participant from now on."""

    stage: int
    participant: str
    user: str
    name: EventName
    code: ErrorCode | None
    cause: Cause | None
    later_ms: int


class PlannedCompositionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a composition to write."""

    composition: int
    name: CompositionEventName
    code: CompositionErrorCode | None
    cause: CompositionCause | None
    later_ms: int


Planned: TypeAlias = PlannedEvent | PlannedCompositionEvent

PLANNED_OF_PARTICIPANTS = st.builds(
    PlannedEvent,
    stage=st.sampled_from(range(len(STAGES))),
    participant=st.sampled_from(PARTICIPANTS),
    user=st.sampled_from(USERS),
    name=st.sampled_from(NAMES),
    code=st.sampled_from(CODES),
    cause=st.sampled_from(CAUSES),
    later_ms=st.sampled_from((0, 0, 1, 7)),
)
PLANNED_OF_COMPOSITIONS = st.builds(
    PlannedCompositionEvent,
    composition=st.sampled_from(range(len(COMPOSITIONS))),
    name=st.sampled_from(COMPOSITION_NAMES),
    code=st.sampled_from(COMPOSITION_CODES),
    cause=st.sampled_from(COMPOSITION_CAUSES),
    later_ms=st.sampled_from((0, 1, 7)),
)
PLANNED: st.SearchStrategy[Planned] = PLANNED_OF_PARTICIPANTS | PLANNED_OF_PARTICIPANTS | PLANNED_OF_COMPOSITIONS
FILTERS = st.builds(
    EventFilter,
    account_id=st.sampled_from(ACCOUNTS),
    stage_arn=st.none() | st.sampled_from([arn for _, arn in STAGES]),
    session_id=st.none() | st.sampled_from([f"st-{number}" for number in range(len(STAGES))]) | st.just("st-x"),
    participant_id=st.none() | st.sampled_from(PARTICIPANTS) | st.just("nobody"),
    user_id=st.none() | st.sampled_from(USERS) | st.just("nobody"),
    composition_arn=st.none() | st.none() | st.sampled_from([arn for *_, arn in COMPOSITIONS]) | st.just("nothing"),
    composition_names=st.frozensets(st.sampled_from(COMPOSITION_NAMES), max_size=2),
    composition_error_code=st.none() | st.sampled_from(COMPOSITION_CODES),
    composition_cause=st.none() | st.sampled_from(COMPOSITION_CAUSES),
    names=st.frozensets(st.sampled_from(NAMES), max_size=2),
    error_code=st.none() | st.sampled_from(CODES),
    any_error=st.booleans(),
    cause=st.none() | st.sampled_from(CAUSES),
    since_ms=st.none() | st.integers(NOON_MS - 1, NOON_MS + 30),
    until_ms=st.none() | st.integers(NOON_MS - 1, NOON_MS + 60),
)


class VariedBook:
    """The book: each stage has one session."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "book.sqlite3"
        self.book: SqliteBook = open_book(self.path)
        self._log = open_event_log(self.path)
        self._now_ms = NOON_MS

    @classmethod
    async def make(cls, folder: Path) -> Self:
        """Return a new book with the stages and their sessions."""
        made = cls(folder)
        for number, (account, arn) in enumerate(STAGES):
            opened = open_session(f"st-{number}", arn=arn)
            await commit(made.book, PutStage(stage=stage(arn, account_id=account)), opened)
        for account, stage_arn, arn in COMPOSITIONS:
            value = composition(arn, stage_arn=stage_arn, account_id=account)
            await commit(made.book, PutComposition(composition=value))
        return made

    async def write(self, planned: Planned) -> None:
        """Write an event, with the participant as it is then."""
        self._now_ms += planned.later_ms
        if isinstance(planned, PlannedCompositionEvent):
            of = CompositionEvent(name=planned.name, error_code=planned.code, cause=planned.cause)
            arn = COMPOSITIONS[planned.composition][2]
            await commit(self.book, AppendCompositionEvent(composition_arn=arn, event=of, at_ms=self._now_ms))
            return
        arn, session_id = STAGES[planned.stage][1], f"st-{planned.stage}"
        event = Event(name=planned.name, error_code=planned.code, cause=planned.cause)
        # The user id of a participant changes with a new token only.
        changes_user = planned.name in {EventName.JOINED, EventName.TOKEN_EXCHANGED}
        record = ParticipantRecord(participant_id=planned.participant, user_id=planned.user)
        is_known = self.book.get_participant(arn, session_id, planned.participant) is not None
        changes = [put(record, arn=arn, session_id=session_id)] if changes_user or not is_known else []
        appended = append(planned.participant, event, at_ms=self._now_ms, arn=arn, session_id=session_id)
        await commit(self.book, *changes, appended)

    def matching(self, where: EventFilter) -> list[LogEntry]:
        """Return all events that match, oldest first, as the log has them."""
        return [logged for logged in self._log.read_entries_after(0, limit=10_000) if where.matches(logged)]

    async def close(self) -> None:
        """Close the book."""
        self._log.close()
        await self.book.close()


def delete_events(path: Path, condition: str) -> None:
    """Delete the events that meet an SQL condition from the book at `path`, as its retention does."""
    connection = apsw.Connection(str(path))
    connection.execute(f"DELETE FROM event WHERE {condition}").fetchall()  # noqa: S608 - the conditions are constants
    connection.close()
