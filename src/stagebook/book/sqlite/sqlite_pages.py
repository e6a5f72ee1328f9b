"""The awaitable reads of a SQLite book: each is done at once, on the event loop's thread.

Reading a page takes less time than switching to another thread.
"""

from stagebook.book.book_pages import CompositionPages
from stagebook.book.book_values import EventRow, Page, ParticipantFilter
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.composition_reader import CompositionFilter, CompositionReader
from stagebook.book.store import BookReader
from stagebook.stage.composition.composition import Composition
from stagebook.stage.resources import ParticipantRecord, Replica, Resource, Stage, StageSession


class SqliteCompositionPages:
    """Implements `CompositionPages` with a reader of compositions."""

    def __init__(self, reader: CompositionReader) -> None:
        self._reader = reader

    async def find(self, arn: str) -> Composition | None:
        """Return a composition, or None."""
        return self._reader.find(arn)

    async def page(self, where: CompositionFilter, *, after: int | None, limit: int) -> Page[Composition]:
        """Return a page of the compositions that match, newest first."""
        return self._reader.page(where, after=after, limit=limit)

    async def page_events(self, arn: str, *, after: int | None, limit: int) -> Page[LoggedCompositionEvent]:
        """Return a page of the events of a composition, oldest first."""
        return self._reader.page_events(arn, after=after, limit=limit)


class SqlitePages:
    """Implements `BookPages` with a reader. No read is suspended, so no other task runs meanwhile."""

    def __init__(self, reader: BookReader) -> None:
        self._reader = reader
        self.compositions: CompositionPages = SqliteCompositionPages(reader.compositions)

    async def get_stage(self, stage_arn: str) -> Stage | None:
        """Return the stage with the id of its active session, or None."""
        return self._reader.get_stage(stage_arn)

    async def list_stages(self, account_id: str, *, after: int | None, limit: int) -> Page[Stage]:
        """Return a page of the account's stages in order of creation."""
        return self._reader.list_stages(account_id, after=after, limit=limit)

    async def get_session(self, stage_arn: str, session_id: str) -> StageSession | None:
        """Return the session, open or ended, or None."""
        return self._reader.get_session(stage_arn, session_id)

    async def list_sessions(self, stage_arn: str, *, after: int | None, limit: int) -> Page[StageSession]:
        """Return a page of the stage's sessions, newest first."""
        return self._reader.list_sessions(stage_arn, after=after, limit=limit)

    async def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        """Return the participant in this session, or None."""
        return self._reader.get_participant(stage_arn, session_id, participant_id)

    async def list_participants(
        self, stage_arn: str, session_id: str, *, where: ParticipantFilter, after: int | None, limit: int
    ) -> Page[ParticipantRecord]:
        """Return a page of the session's participants that match `where`, newest first."""
        return self._reader.list_participants(stage_arn, session_id, where=where, after=after, limit=limit)

    async def page_events(
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
        """Return at most `limit` events of one participant in this session, newest first by default."""
        return self._reader.page_events(
            stage_arn,
            session_id,
            participant_id,
            after=after,
            limit=limit,
            oldest_first=oldest_first,
            of_deleted_stages=of_deleted_stages,
            of_recordings=of_recordings,
        )

    async def get_resource(self, arn: str) -> Resource | None:
        """Return a standalone resource, or None."""
        return self._reader.get_resource(arn)

    async def list_resources(
        self, account_id: str, resource_type: str, *, after: int | None, limit: int
    ) -> Page[Resource]:
        """Return a page of the account's resources of one type, in order of creation."""
        return self._reader.list_resources(account_id, resource_type, after=after, limit=limit)

    async def list_replicas(
        self, source_stage_arn: str, participant_id: str, *, after: int | None, limit: int
    ) -> Page[Replica]:
        """Return a page of the replicas of a participant of a source stage, newest first, including stopped ones."""
        return self._reader.list_replicas(source_stage_arn, participant_id, after=after, limit=limit)
