"""One run of retention over the tables of a book: looks for what is old, and deletes it in steps.

It looks at a bounded number of stages and sessions at a time. The writer thread deletes (`deletion_steps.py`), while no
transaction is queued. Rows that are to be deleted cannot change in between: an ended session and a deleted stage stay
so, and `RowKeys` refuses changes that refer to them.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

from stagebook.book.book_values import RetentionStep
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.book.tables.retention.deletion_steps import (
    DeletingConnection,
    StageDeletion,
    delete_connection_revocations,
    delete_expired,
    delete_expired_compositions,
    delete_of_stages,
    expire_compositions,
    expire_sessions,
)
from stagebook.book.tables.row_keys import RowKeys
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Cell

# What retention looks for. The sessions of a stage end in the order in which they were opened.
STAGES_AFTER = """
SELECT stage_key, arn, account_id, deleted_ms FROM stage WHERE stage_key > :after ORDER BY stage_key LIMIT :limit
"""
OLDEST_SESSIONS = """
SELECT session_key, end_ms,
    EXISTS (SELECT 1 FROM replica WHERE replica.source_session_key = session.session_key AND replica.state = 0)
    OR EXISTS (SELECT 1 FROM replica INDEXED BY replica_of_destination
        WHERE replica.destination_session_key = session.session_key AND replica.state = 0)
    OR EXISTS (SELECT 1 FROM open_recording WHERE open_recording.session_key = session.session_key)
FROM session INDEXED BY session_of_stage WHERE stage_key = :stage ORDER BY session_key LIMIT :limit
"""
HAS_SESSION = "SELECT 1 FROM session WHERE stage_key = :stage LIMIT 1"
HAS_REVOKED_BEFORE = "SELECT 1 FROM revocation WHERE stage_key = :stage AND revoked_ms < :before LIMIT 1"
NEXT_ACCOUNT_WITH_REVOCATIONS = """
SELECT min(account_id) FROM connection_token_revocation WHERE account_id > :after
"""
COMPOSITIONS_AFTER = """
SELECT composition_key, account_id, stage_arn, end_ms FROM composition WHERE composition_key > :after
ORDER BY composition_key LIMIT :limit
"""

ROWS_PER_STEP = 100
"""The most rows that a step deletes. Each can change a page of its table and one of each index, if the sessions of many
stages went on at the same time, so that their rows are not beside each other in the indexes."""
SESSIONS_PER_STEP = 50
"""The most sessions that a step hides."""
STAGES_PER_READ = 50
"""How many stages are looked at before the event loop goes on with other work: about a millisecond."""

_END_MS = (1 << 63) - 1
_Result = TypeVar("_Result")


class _Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage, and the times before which its sessions and revocations are old. None: they are kept."""

    stage_key: int
    arn: str
    deleted_ms: int | None
    sessions_before_ms: int | None
    revocations_before_ms: int | None


class RetentionRun(ABC):
    """The steps of one run; see `Book.delete_old`."""

    def __init__(self, *, keys: RowKeys, policy: RetentionPolicy, now_ms: int) -> None:
        self._keys = keys
        self._policy = policy
        self._now_ms = now_ms

    @abstractmethod
    async def _read(self, statement: str, **parameters: Cell) -> list[Row]:
        """Return the rows of a statement that reads what is durable."""

    @abstractmethod
    async def _delete(self, step: Callable[[DeletingConnection], _Result]) -> _Result:
        """Carry out a step on the writer thread. Raises BookFailedError and BookBusyError."""

    def _includes(self, account_id: str) -> bool:  # noqa: ARG002 - a store of several nodes needs it
        """Return whether the rows of an account are deleted here."""
        return True

    async def _after_step(self) -> AsyncIterator[RetentionStep]:
        """Make the steps that a store needs after each one."""
        no_steps: tuple[RetentionStep, ...] = ()
        for step in no_steps:
            yield step

    async def _finish(self) -> AsyncIterator[RetentionStep]:
        """Make the steps that a store needs at the end."""
        no_steps: tuple[RetentionStep, ...] = ()
        for step in no_steps:
            yield step

    async def steps(self) -> AsyncGenerator[RetentionStep]:
        """Make all steps of the run, one for each item."""
        # What an interrupted run has left comes first.
        async for step in self._repeat(delete_expired, ROWS_PER_STEP):
            yield step
        async for step in self._delete_compositions():
            yield step
        async for stages in self._pages_of_stages():
            yield RetentionStep()  # even a run that deletes nothing lets the event loop go on
            while session_keys := await self._old_sessions(stages):
                with self._keys.expiring(session_keys):
                    step = await self._delete(partial(expire_sessions, session_keys=session_keys))
                yield step
                async for step in self._repeat(delete_expired, ROWS_PER_STEP):
                    yield step
            async for step in self._delete_of_stages(stages):
                yield step
        async for account_id, before_ms in self._accounts_with_revocations():
            async for step in self._repeat(delete_connection_revocations, account_id, before_ms, ROWS_PER_STEP):
                yield step
        async for step in self._finish():
            yield step

    async def _delete_compositions(self) -> AsyncGenerator[RetentionStep]:
        """Delete what an interrupted run has left, and the ended compositions that are old."""
        async for step in self._repeat(delete_expired_compositions, ROWS_PER_STEP):
            yield step
        after = 0
        while rows := await self._read(COMPOSITIONS_AFTER, after=after, limit=STAGES_PER_READ):
            after = rows[-1][0]
            keys = [key for key, account_id, arn, end_ms in rows if self._is_old_composition(account_id, arn, end_ms)]
            if keys:
                yield await self._delete(partial(expire_compositions, composition_keys=keys))
                async for step in self._repeat(delete_expired_compositions, ROWS_PER_STEP):
                    yield step
            yield RetentionStep()

    def _is_old_composition(self, account_id: str, stage_arn: str, end_ms: int) -> bool:
        before_ms = self._policy.stage_cutoff_ms(account_id, stage_arn, now_ms=self._now_ms)
        return before_ms is not None and end_ms < before_ms and self._includes(account_id)

    async def _pages_of_stages(self) -> AsyncIterator[list[_Stage]]:
        after = 0
        while rows := await self._read(STAGES_AFTER, after=after, limit=STAGES_PER_READ):
            yield [self._stage(*row) for row in rows if self._includes(row[2])]
            after = rows[-1][0]

    def _stage(self, stage_key: int, arn: str, account_id: str, deleted_ms: int | None) -> _Stage:
        return _Stage(
            stage_key=stage_key,
            arn=arn,
            deleted_ms=deleted_ms,
            sessions_before_ms=self._policy.stage_cutoff_ms(account_id, arn, now_ms=self._now_ms),
            revocations_before_ms=self._policy.revocation_cutoff_ms(account_id, arn, now_ms=self._now_ms),
        )

    async def _old_sessions(self, stages: list[_Stage]) -> list[int]:
        """Return the keys of at most SESSIONS_PER_STEP old sessions of these stages."""
        session_keys: list[int] = []
        for stage in stages:
            if stage.sessions_before_ms is None:
                continue
            limit = SESSIONS_PER_STEP - len(session_keys)
            for session_key, end_ms, has_active_replica in await self._read(
                OLDEST_SESSIONS, stage=stage.stage_key, limit=limit
            ):
                if end_ms is None or end_ms >= stage.sessions_before_ms or has_active_replica:
                    break
                session_keys.append(session_key)
        return session_keys

    async def _delete_of_stages(self, stages: list[_Stage]) -> AsyncGenerator[RetentionStep]:
        """Delete the old revocations of these stages, and those of them that are deleted and have no session left."""
        gone, deletions = [], []
        for stage in stages:
            if stage.sessions_before_ms is None or stage.revocations_before_ms is None:
                continue
            where = {"stage": stage.stage_key}
            is_old = stage.deleted_ms is not None and stage.deleted_ms < stage.sessions_before_ms
            is_gone = is_old and not await self._read(HAS_SESSION, **where)
            # A stage's ARN is never given to another one, so no token of a deleted stage is valid.
            before_ms = _END_MS if is_gone else stage.revocations_before_ms
            if is_gone:
                gone.append(stage.arn)
            if is_gone or await self._read(HAS_REVOKED_BEFORE, **where, before=before_ms):
                deletions.append(StageDeletion(stage_key=stage.stage_key, revoked_before_ms=before_ms, is_gone=is_gone))
        if deletions:
            try:
                async for step in self._repeat(delete_of_stages, deletions, ROWS_PER_STEP):
                    yield step
            finally:
                self._keys.forget_stages(gone)

    async def _accounts_with_revocations(self) -> AsyncIterator[tuple[str, int]]:
        """Yield each account with revoked connection tokens, and the time before which they are old."""
        account_id = ""
        while True:
            ((account_id,),) = await self._read(NEXT_ACCOUNT_WITH_REVOCATIONS, after=account_id)
            if account_id is None:
                return
            before_ms = self._policy.connection_cutoff_ms(account_id, now_ms=self._now_ms)
            if before_ms is not None and self._includes(account_id):
                yield account_id, before_ms

    async def _repeat(
        self,
        step: Callable[..., tuple[RetentionStep, bool]],
        *arguments: Any,  # noqa: ANN401 - those of the step
    ) -> AsyncGenerator[RetentionStep]:
        """Repeat a step until it says that nothing is left."""
        has_more = True
        while has_more:
            done, has_more = await self._delete(lambda connection: step(connection, *arguments))
            yield done
            async for further in self._after_step():
                yield further
