"""The awaitable reads of a book whose store is another process: they run on the threads of a pool."""

from stagebook.book.book_pages import CompositionPages
from stagebook.book.book_values import EventRow, Page, ParticipantFilter
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.composition_reader import CompositionFilter
from stagebook.book.tables.pooled.reader_pool import ReaderPool
from stagebook.stage.arns import account_in
from stagebook.stage.composition.composition import Composition
from stagebook.stage.resources import ParticipantRecord, Replica, Resource, Stage, StageSession


class PooledCompositionPages:
    """Implements `CompositionPages` on a pool."""

    def __init__(self, pool: ReaderPool) -> None:
        self._pool = pool

    async def find(self, arn: str) -> Composition | None:
        """Return a composition, or None."""
        return await self._pool.run(_account_of(arn), lambda book: book.compositions.find(arn))

    async def page(self, where: CompositionFilter, *, after: int | None, limit: int) -> Page[Composition]:
        """Return a page of the compositions that match, newest first."""
        return await self._pool.run(
            where.account_id or "", lambda book: book.compositions.page(where, after=after, limit=limit)
        )

    async def page_events(self, arn: str, *, after: int | None, limit: int) -> Page[LoggedCompositionEvent]:
        """Return a page of the events of a composition, oldest first."""
        return await self._pool.run(
            _account_of(arn), lambda book: book.compositions.page_events(arn, after=after, limit=limit)
        )


class PooledPages:
    """Implements `BookPages` on a pool. A read counts for the account of the stage or resource."""

    def __init__(self, pool: ReaderPool) -> None:
        self._pool = pool
        self.compositions: CompositionPages = PooledCompositionPages(pool)

    async def close(self) -> None:
        """Close the pool. Idempotent."""
        await self._pool.close()

    async def get_stage(self, stage_arn: str) -> Stage | None:
        """Return the stage with the id of its active session, or None."""
        return await self._pool.run(_account_of(stage_arn), lambda book: book.get_stage(stage_arn))

    async def list_stages(self, account_id: str, *, after: int | None, limit: int) -> Page[Stage]:
        """Return a page of the account's stages in order of creation."""
        return await self._pool.run(account_id, lambda book: book.list_stages(account_id, after=after, limit=limit))

    async def get_session(self, stage_arn: str, session_id: str) -> StageSession | None:
        """Return the session, open or ended, or None."""
        return await self._pool.run(_account_of(stage_arn), lambda book: book.get_session(stage_arn, session_id))

    async def list_sessions(self, stage_arn: str, *, after: int | None, limit: int) -> Page[StageSession]:
        """Return a page of the stage's sessions, newest first."""
        return await self._pool.run(
            _account_of(stage_arn), lambda book: book.list_sessions(stage_arn, after=after, limit=limit)
        )

    async def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        """Return the participant in this session, or None."""
        return await self._pool.run(
            _account_of(stage_arn), lambda book: book.get_participant(stage_arn, session_id, participant_id)
        )

    async def list_participants(
        self, stage_arn: str, session_id: str, *, where: ParticipantFilter, after: int | None, limit: int
    ) -> Page[ParticipantRecord]:
        """Return a page of the session's participants that match `where`, newest first."""
        return await self._pool.run(
            _account_of(stage_arn),
            lambda book: book.list_participants(stage_arn, session_id, where=where, after=after, limit=limit),
        )

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
        return await self._pool.run(
            _account_of(stage_arn),
            lambda book: book.page_events(
                stage_arn,
                session_id,
                participant_id,
                after=after,
                limit=limit,
                oldest_first=oldest_first,
                of_deleted_stages=of_deleted_stages,
                of_recordings=of_recordings,
            ),
        )

    async def get_resource(self, arn: str) -> Resource | None:
        """Return a standalone resource, or None."""
        return await self._pool.run(_account_of(arn), lambda book: book.get_resource(arn))

    async def list_resources(
        self, account_id: str, resource_type: str, *, after: int | None, limit: int
    ) -> Page[Resource]:
        """Return a page of the account's resources of one type, in order of creation."""
        return await self._pool.run(
            account_id, lambda book: book.list_resources(account_id, resource_type, after=after, limit=limit)
        )

    async def list_replicas(
        self, source_stage_arn: str, participant_id: str, *, after: int | None, limit: int
    ) -> Page[Replica]:
        """Return a page of the replicas of a participant of a source stage, newest first, including stopped ones."""
        return await self._pool.run(
            _account_of(source_stage_arn),
            lambda book: book.list_replicas(source_stage_arn, participant_id, after=after, limit=limit),
        )


def _account_of(arn: str) -> str:
    """Return the account of an ARN. All malformed ones, for which there is nothing to read, share one."""
    return account_in(arn) or ""
