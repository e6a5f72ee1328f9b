"""A book in memory whose transactions become durable when a test says so, for tests of the unit of work."""

import asyncio
from collections.abc import Sequence
from typing import cast

from stagebook.book.book_errors import BookFailedError
from stagebook.book.changes import AppendEvent, Change, PutParticipant
from stagebook.book.decision_book import DecisionBook
from stagebook.book.store import Durable, Submission
from stagebook.manager.session.order_dispatcher import OrderDispatcher
from stagebook.manager.session.transaction import SessionRules
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.limits import RELAXED, Limits
from stagebook.stage.resources import ParticipantRecord
from tests.manager.manager_harness import LINGER_MS, SeededRandomness, SettableClock
from tests.manager.scripted_engine import ScriptedEngine


class HeldBook:
    """Keeps transactions in order. `transactions` are all that were submitted; the oldest ones are durable."""

    def __init__(self, *, last_time_ms: int = 0) -> None:
        self.transactions: list[list[Change]] = []
        self.failure: Exception | None = None
        self._last_time_ms = last_time_ms
        self._waiting: list[tuple[list[Change], Durable]] = []
        self._rows: dict[tuple[str, str, str], ParticipantRecord] = {}

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    def submit(self, changes: Sequence[Change]) -> Submission:
        if self.failure is not None:
            raise self.failure
        durable = Durable(loop=asyncio.get_running_loop())
        self.transactions.append(list(changes))
        self._waiting.append((list(changes), durable))
        sequences = tuple(range(sum(isinstance(change, AppendEvent) for change in changes)))
        return Submission(sequences=sequences, durable=durable)

    def get_session(self, _stage_arn: str, _session_id: str) -> None:
        """Each session is a new one."""

    async def release(self, count: int = 1) -> None:
        """Make the next transactions durable and let their callbacks run."""
        for _ in range(count):
            changes, durable = self._waiting.pop(0)
            for change in changes:
                if isinstance(change, PutParticipant):
                    key = (change.stage_arn, change.session_id, change.participant.participant_id)
                    self._rows[key] = change.participant
            durable.set_result(None)
        await asyncio.sleep(0)

    async def fail(self) -> None:
        """Let every transaction that waits fail, as a disk that is full does."""
        self.failure = BookFailedError("the disk is full")
        for _, durable in self._waiting:
            durable.set_exception(self.failure)
            durable.exception()  # retrieved, as the writer of a book does it
        self._waiting.clear()
        await asyncio.sleep(0)

    @property
    def submitted_time_ms(self) -> int:
        return self._last_time_ms

    def forget_participant(self, _stage_arn: str, _session_id: str, _participant_id: str) -> None:
        """Rows are kept."""

    def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        return self._rows.get((stage_arn, session_id, participant_id))


class HeldUnit:
    """A unit of work over a held book, and the engine that its orders go to."""

    def __init__(self, *, limits: Limits = RELAXED, last_time_ms: int = 0) -> None:
        self.book = HeldBook(last_time_ms=last_time_ms)
        self.engine = ScriptedEngine()
        self.clock = SettableClock()
        self.dispatcher = OrderDispatcher(media=self.engine)
        self.unit = UnitOfWork(
            book=cast("DecisionBook", self.book),  # the unit of work uses these members of a book only
            clock=self.clock,
            randomness=SeededRandomness(),
            rules=SessionRules(limits=limits, linger_ms=LINGER_MS),
            dispatcher=self.dispatcher,
        )
