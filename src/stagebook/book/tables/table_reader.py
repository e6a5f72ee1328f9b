"""Reads of the book, on a connection to its tables.

Each read is a single statement and therefore sees one consistent state of the book. Reads run on the caller's thread.
With SQLite that is usually the event loop's: reading a page takes less time than switching to another thread. Every
result is fetched completely, because an open read transaction would keep SQLite's writer from reusing its WAL file.
"""

from collections.abc import Iterator

from stagebook.book.book_values import (
    EventRow,
    OpenRecording,
    Page,
    RecordedEvent,
    Revocation,
)
from stagebook.book.changes import sequence_time_ms
from stagebook.book.tables import queries
from stagebook.book.tables.compositions.composition_reads import TableCompositions
from stagebook.book.tables.participant_reader import ParticipantReader
from stagebook.book.tables.rows import (
    END_OF_NAMES,
    FIRST_OTHER_NAME,
    Row,
    open_recording,
    recorded_event,
    replica_value,
    resource_value,
    session_value,
    stage_value,
)
from stagebook.book.tables.stream_key_seal import StreamKeySeal
from stagebook.book.tables.table_connection import UNDECODABLE, TableConnection, position_before
from stagebook.stage.resources import Replica, Resource, Stage, StageSession

REVOCATIONS_PER_PAGE = 1_000


class TableReader(ParticipantReader):
    """Implements `BookReader` on one connection, which only one thread may use.

    A deleted stage reads as absent. Its sessions, participants, events and replicas read as absent too, unless
    `show_deleted_history` is true. The reads that recovery needs after a restart (`list_open_sessions`,
    `list_open_participants`, `list_active_replicas`, `list_open_recordings`, `list_events`,
    `last_event_ms`) always include deleted stages.

    `seal` opens the stream keys of ingest configurations. Without it they read as they are stored, sealed.
    """

    def __init__(
        self, connection: TableConnection, *, show_deleted_history: bool, seal: StreamKeySeal | None = None
    ) -> None:
        super().__init__(connection, show_deleted_history=show_deleted_history)
        self.compositions = TableCompositions(connection)
        self._seal = seal

    def close_reading(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close()

    def last_sequence(self) -> int:
        """Return the newest sequence number of a durable event, 0 in a new book."""
        return int(self._rows(queries.LAST_SEQUENCE)[0][0])

    def last_time_ms(self) -> int:
        """Return the time of the newest durable event in milliseconds since the epoch, 0 if there is none."""
        return sequence_time_ms(self.last_sequence())

    def get_stage(self, stage_arn: str) -> Stage | None:
        """Return the stage with the id of its active session, or None."""
        rows = self._rows(queries.GET_STAGE, arn=stage_arn)
        return self._first(rows, stage_value)

    def has_had_stage(self, stage_arn: str) -> bool:
        """Return whether there is a stage with this ARN, or there was one whose rows are kept."""
        return bool(self._rows(queries.HAS_HAD_STAGE, arn=stage_arn))

    def list_stages(self, account_id: str, *, after: int | None, limit: int) -> Page[Stage]:
        """Return a page of the account's stages in order of creation."""
        rows = self._rows(queries.LIST_STAGES, account=account_id, after=after or 0, limit=limit + 1)
        return self._page(rows, limit, stage_value)

    def count_stages(self, account_id: str) -> int:
        """Return the number of stages of the account, without deleted ones."""
        return int(self._rows(queries.COUNT_STAGES, account=account_id)[0][0])

    def get_session(self, stage_arn: str, session_id: str) -> StageSession | None:
        """Return the session, open or ended, or None."""
        rows = self._rows(queries.GET_SESSION, arn=stage_arn, session=session_id, show=self._show)
        return self._first(rows, session_value)

    def list_sessions(self, stage_arn: str, *, after: int | None, limit: int) -> Page[StageSession]:
        """Return a page of the stage's sessions, newest first."""
        rows = self._rows(
            queries.LIST_SESSIONS, arn=stage_arn, show=self._show, after=position_before(after), limit=limit + 1
        )
        return self._page(rows, limit, session_value)

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
        """Return at most `limit` events of one participant after the sequence number `after`; see the port."""
        if oldest_first:
            statement, position = queries.PAGE_OLDEST_FIRST, -1 if after is None else after
        else:
            statement, position = queries.PAGE_NEWEST_FIRST, position_before(after)
        is_shown = self._show or of_deleted_stages
        end_of_names = END_OF_NAMES if of_recordings else FIRST_OTHER_NAME
        return self._connection.rows(
            statement, (stage_arn, session_id, participant_id, is_shown, end_of_names, position, limit)
        )

    def list_events(self, stage_arn: str, session_id: str, participant_id: str) -> list[RecordedEvent]:
        """Return all events of one participant in this session, oldest first, also on a deleted stage."""
        rows = self._connection.rows(queries.LIST_EVENTS, (stage_arn, session_id, participant_id, True))
        try:
            return [recorded_event(participant_id, row) for row in rows]
        except UNDECODABLE as error:
            raise self._connection.damaged(error) from error

    def last_event_ms(self, stage_arn: str, session_id: str) -> int | None:
        """Return the time of the session's newest event, also on a deleted stage; None if it has no event."""
        rows = self._rows(queries.LAST_SEQUENCE_OF_SESSION, arn=stage_arn, session=session_id)
        return None if rows[0][0] is None else sequence_time_ms(rows[0][0])

    def list_open_recordings(self, *, account_id: str | None = None) -> list[OpenRecording]:
        """Return every recording that is neither STOPPED nor FAILED, also of ended sessions and deleted stages."""
        return self._all(self._rows(queries.LIST_OPEN_RECORDINGS, account=account_id), open_recording)

    def first_event_ms(self) -> int | None:
        """Return the time of the oldest event, None if there is none."""
        ((sequence,),) = self._rows(queries.FIRST_SEQUENCE)
        return None if sequence is None else sequence_time_ms(sequence)

    def has_revoked(self, stage_arn: str) -> bool:
        """Return whether any participant id may not join this stage again."""
        return bool(self._rows(queries.HAS_REVOKED, arn=stage_arn))

    def is_revoked(self, stage_arn: str, participant_id: str) -> bool:
        """Return whether this participant id may not join this stage again."""
        return bool(self._rows(queries.IS_REVOKED, arn=stage_arn, participant=participant_id))

    def iterate_revocations(self, account_id: str) -> Iterator[Revocation]:
        """Yield the revocations of participants on the account's stages, without deleted stages."""
        stage_key, participant_id = 0, ""
        while True:
            rows = self._rows(
                queries.LIST_REVOCATIONS,
                account=account_id,
                stage=stage_key,
                participant=participant_id,
                limit=REVOCATIONS_PER_PAGE,
            )
            yield from (Revocation(arn, revoked_id) for arn, revoked_id, _ in rows)
            if len(rows) < REVOCATIONS_PER_PAGE:
                return
            _, participant_id, stage_key = rows[-1]

    def iterate_revoked_connection_tokens(self, account_id: str) -> Iterator[str]:
        """Yield the ids of the account's connection tokens that were revoked."""
        after = ""
        while True:
            rows = self._rows(
                queries.LIST_REVOKED_CONNECTION_TOKENS, account=account_id, token=after, limit=REVOCATIONS_PER_PAGE
            )
            yield from (token_id for (token_id,) in rows)
            if len(rows) < REVOCATIONS_PER_PAGE:
                return
            ((after,),) = rows[-1:]

    def get_resource(self, arn: str) -> Resource | None:
        """Return a standalone resource, or None."""
        rows = self._rows(queries.GET_RESOURCE, arn=arn)
        return self._first(rows, self._resource)

    def list_resources(self, account_id: str, resource_type: str, *, after: int | None, limit: int) -> Page[Resource]:
        """Return a page of the account's resources of one type, in order of creation."""
        rows = self._rows(
            queries.LIST_RESOURCES, account=account_id, type=resource_type, after=after or 0, limit=limit + 1
        )
        return self._page(rows, limit, self._resource)

    def list_resources_of_type(self, resource_type: str, *, after: int | None, limit: int) -> Page[Resource]:
        """Return a page of the resources of one type of all accounts, in order of creation."""
        rows = self._rows(queries.LIST_RESOURCES_OF_TYPE, type=resource_type, after=after or 0, limit=limit + 1)
        return self._page(rows, limit, self._resource)

    def count_resources(self, account_id: str, resource_type: str) -> int:
        """Return the number of the account's resources of one type."""
        return int(self._rows(queries.COUNT_RESOURCES, account=account_id, type=resource_type)[0][0])

    def list_replicas(
        self, source_stage_arn: str, participant_id: str, *, after: int | None, limit: int
    ) -> Page[Replica]:
        """Return a page of the replicas of a participant of a source stage, newest first, including stopped ones."""
        rows = self._rows(
            queries.LIST_REPLICAS,
            arn=source_stage_arn,
            participant=participant_id,
            show=self._show,
            after=position_before(after),
            limit=limit + 1,
        )
        return self._page(rows, limit, replica_value)

    def list_active_replicas(self, *, account_id: str | None = None) -> list[Replica]:
        """Return every replica in state ACTIVE, including those of deleted stages."""
        return self._all(self._rows(queries.LIST_ACTIVE_REPLICAS, account=account_id), replica_value)

    def has_bound_participants(self, account_id: str, stage_id: str) -> bool:
        """Return whether any participant of a stage is refused without a connection token."""
        return bool(self._rows(queries.HAS_BOUND_PARTICIPANTS, account=account_id, stage=stage_id))

    def is_connection_token_revoked(self, account_id: str, token_id: str) -> bool:
        """Return whether this connection token of the account was revoked."""
        return bool(self._rows(queries.IS_CONNECTION_REVOKED, account=account_id, token=token_id))

    def list_open_sessions(self, *, account_id: str | None = None) -> list[StageSession]:
        """Return every open session, including those of deleted stages."""
        return self._all(self._rows(queries.LIST_OPEN_SESSIONS, account=account_id), session_value)

    def _resource(self, row: Row) -> Resource:
        """Return the resource of a row. Raises SealBrokenError, which is a ValueError."""
        stored = resource_value(row)
        return stored if self._seal is None else self._seal.opened(stored)
