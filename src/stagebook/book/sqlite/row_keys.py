"""What exists and is open, with its integer keys: the memory a transaction is checked against before it is queued.

Transactions are checked on the event loop's thread, ahead of the file: what is queued counts as done. So an entry may
only be forgotten when nothing is queued; then the file knows it. Keys are given out here, and a transaction that is
refused gives back what it changed. This module must not know events or how changes become rows.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import apsw

from stagebook.book.store import ChangeRefusedError

MAXIMUM_IDLE_STAGES = 4_096
"""Stages without an open session that are remembered when the queue is empty."""

Undo: TypeAlias = list[Callable[[], object]]
"""What takes a refused transaction back, to be called from the last to the first."""


class SessionKeys:
    """An open session: its key and the numbers of its participants."""

    __slots__ = ("numbers", "session_id", "session_key", "start_ms")

    def __init__(self, *, session_id: str, session_key: int, start_ms: int, numbers: dict[str, int]) -> None:
        self.session_id = session_id
        self.session_key = session_key
        self.start_ms = start_ms
        self.numbers = numbers


class StageKeys:
    """A stage: its key, whether it is deleted, its open session, and the keys of sessions opened since it is here."""

    __slots__ = ("deleted", "open_session", "session_keys", "stage_key")

    def __init__(self, *, stage_key: int, deleted: bool, open_session: SessionKeys | None) -> None:
        self.stage_key = stage_key
        self.deleted = deleted
        self.open_session = open_session
        self.session_keys: dict[str, int] = {}


class Keys:
    """All stages that matter now. `connection` reads what is durable; it is asked only for what is not remembered."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._stages: dict[str, StageKeys] = {}
        self._last_stage_key: int = self._rows("SELECT coalesce(max(stage_key), 0) FROM stage")[0][0]
        self._last_session_key: int = self._rows("SELECT coalesce(max(session_key), 0) FROM session")[0][0]

    def find_stage(self, stage_arn: str) -> StageKeys | None:
        """Return the stage, deleted or not; None if there never was one."""
        stage = self._stages.get(stage_arn)
        if stage is None:
            rows = self._rows("SELECT stage_key, deleted_ms IS NOT NULL FROM stage WHERE arn = ?", stage_arn)
            if not rows:
                return None
            stage_key, deleted = rows[0]
            stage = StageKeys(
                stage_key=stage_key, deleted=bool(deleted), open_session=self._load_open_session(stage_key)
            )
            self._stages[stage_arn] = stage
        return stage

    def stage(self, stage_arn: str) -> StageKeys:
        """Return the stage, deleted or not; raise ChangeRefusedError if there never was one."""
        stage = self.find_stage(stage_arn)
        if stage is None:
            raise ChangeRefusedError(f"there is no stage {stage_arn}")
        return stage

    def open_session(self, stage_arn: str, session_id: str) -> SessionKeys:
        """Return the stage's open session; raise ChangeRefusedError when it is not this one."""
        session = self.stage(stage_arn).open_session
        if session is None or session.session_id != session_id:
            raise ChangeRefusedError(f"session {session_id} of stage {stage_arn} is not open")
        return session

    def session_key(self, stage_arn: str, session_id: str) -> int:
        """Return the key of a session, open or ended; raise ChangeRefusedError if there never was one."""
        session_key = self._find_session_key(self.stage(stage_arn), session_id)
        if session_key is None:
            raise ChangeRefusedError(f"stage {stage_arn} never had a session {session_id}")
        return session_key

    def add_stage(self, stage_arn: str, undo: Undo) -> StageKeys:
        """Take note of a new stage."""
        self._last_stage_key += 1
        stage = StageKeys(stage_key=self._last_stage_key, deleted=False, open_session=None)
        self._stages[stage_arn] = stage
        undo.append(lambda: self._stages.pop(stage_arn))
        return stage

    def delete_stage(self, stage_arn: str, undo: Undo) -> StageKeys:
        """Take note that a stage is deleted; raise ChangeRefusedError when it already is or never was."""
        stage = self.stage(stage_arn)
        if stage.deleted:
            raise ChangeRefusedError(f"stage {stage_arn} is deleted")
        stage.deleted = True
        undo.append(lambda: setattr(stage, "deleted", False))
        return stage

    def start_session(
        self, stage_arn: str, session_id: str, start_ms: int, undo: Undo
    ) -> tuple[StageKeys, SessionKeys]:
        """Take note of a new open session; raise ChangeRefusedError when the stage cannot have it."""
        stage = self.stage(stage_arn)
        if stage.deleted or stage.open_session is not None:
            raise ChangeRefusedError(f"stage {stage_arn} is deleted or has an open session")
        if self._find_session_key(stage, session_id) is not None:
            raise ChangeRefusedError(f"stage {stage_arn} already had a session {session_id}")
        self._last_session_key += 1
        session = SessionKeys(session_id=session_id, session_key=self._last_session_key, start_ms=start_ms, numbers={})
        stage.open_session = session
        stage.session_keys[session_id] = session.session_key
        undo.append(lambda: stage.session_keys.pop(session_id))
        undo.append(lambda: setattr(stage, "open_session", None))
        return stage, session

    def end_session(self, stage_arn: str, session_id: str, undo: Undo) -> tuple[StageKeys, SessionKeys]:
        """Take note that the open session ends, and forget its participants."""
        session = self.open_session(stage_arn, session_id)
        stage = self._stages[stage_arn]
        stage.open_session = None
        undo.append(lambda: setattr(stage, "open_session", session))
        return stage, session

    def forget_idle_stages(self) -> None:
        """Keep the memory bounded. Only to be called while nothing is queued."""
        if len(self._stages) > MAXIMUM_IDLE_STAGES:
            self._stages = {arn: stage for arn, stage in self._stages.items() if stage.open_session is not None}

    def _find_session_key(self, stage: StageKeys, session_id: str) -> int | None:
        if session_id in stage.session_keys:
            return stage.session_keys[session_id]
        statement = "SELECT session_key FROM session WHERE stage_key = ? AND session_id = ?"
        rows = self._rows(statement, stage.stage_key, session_id)
        return rows[0][0] if rows else None

    def _load_open_session(self, stage_key: int) -> SessionKeys | None:
        rows = self._rows(
            "SELECT session_key, session_id, start_ms FROM session WHERE stage_key = ? AND end_ms IS NULL", stage_key
        )
        if not rows:
            return None
        session_key, session_id, start_ms = rows[0]
        numbers = self._rows("SELECT participant_id, number FROM participant WHERE session_key = ?", session_key)
        return SessionKeys(session_id=session_id, session_key=session_key, start_ms=start_ms, numbers=dict(numbers))

    def _rows(self, statement: str, *parameters: str | int) -> list[Any]:
        return self._connection.execute(statement, parameters).fetchall()
