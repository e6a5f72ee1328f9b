"""What the entry of a participant into a session needs from the book: an unused session id, and the participant's row.

A participant enters in one step with the decision, in which nothing may be awaited. The book may have to fetch these
values (`decision_book.py`). So the entry is prepared before.

A participant that left a moment ago may not be in the book yet, so rows that are not durable are kept here. Rows of
redundant streams and virtual participants are kept until their session ends: a report of an engine lets a virtual
participant return, and the report does not wait for the book. There are a few for each encoder.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from stagebook.book.changes import Change, EndSession, OpenSession
from stagebook.book.decision_book import DecisionBook
from stagebook.book.store import Durable
from stagebook.manager.session.session_registry import SessionRegistry
from stagebook.manager.session.transaction import Transaction
from stagebook.stage.clock import Randomness
from stagebook.stage.ids import new_session_id
from stagebook.stage.resources import ParticipantRecord
from stagebook.stage.session.session_state import Session

MAXIMUM_SESSION_IDS = 10_000
"""Maximum number of stages whose next session has an id. Above it all ids are dropped, and drawn again when needed."""


class SessionEntries:
    """Prepares entries, and keeps the rows of participants that have left."""

    def __init__(self, *, book: DecisionBook, registry: SessionRegistry, randomness: Randomness) -> None:
        self._book = book
        self._registry = registry
        self._randomness = randomness
        self._session_ids: dict[str, str] = {}
        """By stage ARN, an id that no session has had, for the next session."""
        self._departed: dict[tuple[str, str], tuple[ParticipantRecord, Durable]] = {}
        """The rows that are not durable, by session and participant."""
        self._streams: dict[str, dict[str, ParticipantRecord]] = {}
        """The rows of redundant streams and virtual participants that have left, by session."""

    def is_prepared(self, stage_arn: str) -> bool:
        """Return whether no entry into the session of a stage lacks anything, so that `prepare` need not be awaited.

        That is the usual case in a burst of joins: the session runs, and nobody has left it.
        """
        session = self._registry.sessions.get(stage_arn)
        return session is not None and not session.has_departed

    async def prepare(self, *entries: tuple[str, str]) -> None:
        """Fetch what the entries of participants need, each given by the ARN of its stage and its id.

        Do not await between this call and the transaction: what it has fetched may no longer be right then.
        """
        while True:
            fetched = [await self._fetch_missing(stage_arn, participant_id) for stage_arn, participant_id in entries]
            if not any(fetched):
                return

    async def _fetch_missing(self, stage_arn: str, participant_id: str) -> bool:
        """Fetch what the entry of a participant lacks; return False if it lacks nothing."""
        session = self._registry.sessions.get(stage_arn)
        if session is None:
            if stage_arn in self._session_ids or self._book.get_stage(stage_arn) is None:
                return False
            await self._draw_session_id(stage_arn)
            return True
        if not session.has_departed or participant_id in session.participants:
            return False
        where = (session.stage_arn, session.session_id, participant_id)
        if self._departed_record(session, participant_id) is not None or self._book.is_participant_fetched(*where):
            return False
        await self._book.fetch_participant(*where)
        return True

    async def _draw_session_id(self, stage_arn: str) -> None:
        session_id = new_session_id(self._randomness)
        await self._book.fetch_session(stage_arn, session_id)
        if self._book.get_session(stage_arn, session_id) is None:
            if len(self._session_ids) >= MAXIMUM_SESSION_IDS:
                self._session_ids.clear()
            self._session_ids[stage_arn] = session_id

    def new_session_id(self, stage_arn: str) -> str:
        """Return the id of the next session of a stage."""
        prepared = self._session_ids.get(stage_arn)
        if prepared is not None:
            return prepared
        while True:
            session_id = new_session_id(self._randomness)
            if self._book.get_session(stage_arn, session_id) is None:
                return session_id

    def known_record(self, session: Session, participant_id: str) -> ParticipantRecord | None:
        """Return the row of a participant that was in a session before and has left it, or None.

        The row keeps the participant's first join. `has_departed` avoids a read for the usual case, a session that no
        participant has left.
        """
        if not session.has_departed or participant_id in session.participants:
            return None
        departed = self._departed_record(session, participant_id)
        return departed or self._book.get_participant(session.stage_arn, session.session_id, participant_id)

    def known_virtual(self, session: Session, virtual_id: str) -> ParticipantRecord | None:
        """Return the row of a virtual participant that was in a session before and has left it, or None."""
        return None if virtual_id in session.participants else self._departed_record(session, virtual_id)

    def _departed_record(self, session: Session, participant_id: str) -> ParticipantRecord | None:
        departed = self._departed.get((session.session_id, participant_id))
        if departed is not None:
            return departed[0]
        return self._streams.get(session.session_id, {}).get(participant_id)

    def note_sessions(self, changes: Sequence[Change]) -> None:
        """Note the sessions that a transaction has opened and ended, with its changes in the order of their ranks."""
        if changes and type(changes[0]) is OpenSession:
            for change in changes:
                if type(change) is OpenSession:
                    self._session_ids.pop(change.stage_arn, None)
        if self._streams:
            for change in changes:
                if type(change) is EndSession:
                    self._streams.pop(change.session_id, None)

    def note_departed(self, transaction: Transaction, durable: Durable | None) -> None:
        """Keep the rows of participants that a transaction lets leave until the book shows them."""
        stage_arns = {session.session_id: session.stage_arn for session in transaction.sessions.values()}
        for session_id, record in transaction.departed:
            if durable is not None:
                key = (session_id, record.participant_id)
                self._departed[key] = (record, durable)
                durable.add_done_callback(partial(self._forget_departed, stage_arns[session_id], key))

    def _forget_departed(self, stage_arn: str, key: tuple[str, str], durable: asyncio.Future[None]) -> None:
        record, newest = self._departed.get(key, (None, None))
        if record is None or newest is not durable:
            return
        del self._departed[key]
        session_id, participant_id = key
        session = self._registry.sessions.get(stage_arn)
        if session is None or session.session_id != session_id:
            return
        if record.redundant_ingest:
            self._streams.setdefault(session_id, {})[participant_id] = record
            return
        if session_id in self._streams:
            self._streams[session_id].pop(participant_id, None)
        if participant_id not in session.participants:
            self._book.forget_participant(stage_arn, session_id, participant_id)
