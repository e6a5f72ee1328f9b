"""The cache of row keys that reads what it lacks from the store at once, for a store in the same process."""

from typing import Any, Self

from stagebook.book.tables.key_sequence import FollowingKeys, KeySequence
from stagebook.book.tables.row_keys import RowKeys, SessionKeys, StageKeys
from stagebook.book.tables.rows import STATE_CODE
from stagebook.book.tables.table_connection import TableConnection
from stagebook.stage.resources import ParticipantState

MAXIMUM_IDLE_STAGES = 4_096
"""Maximum number of cached stages; above it, those without an open session are dropped when the queue is empty.

Stages with an open session are never dropped: the numbers of their participants exist here before they are in the file.
"""

LAST_KEYS = """
SELECT max(last_stage_key, (SELECT coalesce(max(stage_key), 0) FROM stage)),
    max(last_session_key, (SELECT coalesce(max(session_key), 0) FROM session))
FROM sequencer
"""
"""The largest keys that were ever used: those of deleted rows must not be used again."""
LAST_COMPOSITION_KEY = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'composition'), 0)"
"""The largest key that a composition has ever had."""


class StoredRowKeys(RowKeys):
    """Reads on a connection to the store. The event loop's thread uses it."""

    def __init__(
        self,
        connection: TableConnection,
        *,
        stage_keys: KeySequence,
        session_keys: KeySequence,
        composition_keys: KeySequence,
    ) -> None:
        self._connection = connection
        super().__init__(
            stage_keys=stage_keys,
            session_keys=session_keys,
            composition_keys=composition_keys,
            stage_count=self._rows("SELECT count(*) FROM stage WHERE deleted_ms IS NULL")[0][0],
        )

    @classmethod
    def of_one_writer(cls, connection: TableConnection) -> Self:
        """Return the row keys of a store that only one process writes: new keys follow those that there are."""
        ((last_stage_key, last_session_key),) = connection.rows(LAST_KEYS)
        ((last_composition_key,),) = connection.rows(LAST_COMPOSITION_KEY)
        return cls(
            connection,
            stage_keys=FollowingKeys(last_stage_key),
            session_keys=FollowingKeys(last_session_key),
            composition_keys=FollowingKeys(last_composition_key),
        )

    def drop_idle_stages(self) -> None:
        """Drop stages without an open session if the cache is too large. Call it only while nothing is queued."""
        if len(self._stages) > MAXIMUM_IDLE_STAGES:
            self._stages = {arn: stage for arn, stage in self._stages.items() if stage.open_session is not None}

    def _look_up_stage(self, stage_arn: str) -> StageKeys | None:
        rows = self._rows("SELECT stage_key, deleted_ms IS NOT NULL FROM stage WHERE arn = ?", stage_arn)
        if not rows:
            return None
        stage_key, deleted = rows[0]
        return StageKeys(stage_key=stage_key, deleted=bool(deleted), open_session=self._look_up_open_session(stage_key))

    def _look_up_open_session(self, stage_key: int) -> SessionKeys | None:
        rows = self._rows(
            "SELECT session_key, session_id, start_ms FROM session WHERE stage_key = ? AND end_ms IS NULL", stage_key
        )
        if not rows:
            return None
        session_key, session_id, start_ms = rows[0]
        ((last_number,),) = self._rows("SELECT max(number) FROM participant WHERE session_key = ?", session_key)
        # Those that are connected: recovery needs them, and could need any number of others.
        connected = self._rows(
            "SELECT participant_id, number FROM participant WHERE session_key = ? AND state = ?",
            session_key,
            STATE_CODE[ParticipantState.CONNECTED],
        )
        return SessionKeys(
            session_id=session_id,
            session_key=session_key,
            start_ms=start_ms,
            numbers=dict(connected),
            last_number=last_number or 0,
        )

    def _look_up_session(self, stage: StageKeys, session_id: str) -> int | None:
        return self._key(
            "SELECT session_key FROM session WHERE stage_key = ? AND session_id = ?", stage.stage_key, session_id
        )

    def _look_up_number(self, session: SessionKeys, participant_id: str) -> int | None:
        statement = "SELECT number FROM participant WHERE session_key = ? AND participant_id = ?"
        return self._key(statement, session.session_key, participant_id)

    def _look_up_composition(self, arn: str) -> int | None:
        return self._key("SELECT composition_key FROM composition WHERE arn = ?", arn)

    def _key(self, statement: str, *parameters: str | int) -> int | None:
        rows = self._rows(statement, *parameters)
        return rows[0][0] if rows else None

    def _rows(self, statement: str, *parameters: str | int) -> list[Any]:
        return self._connection.rows(statement, parameters)
