"""Transactions over sessions: decide, commit to the book, then carry out the orders.

A transaction applies facts to sessions and collects what the decisions order. A fact that a decision forwards to
another session is applied in the same transaction, which is how one transaction holds both ends of a replication.
`commit` submits all rows and events as one transaction of the book and installs the new sessions. Orders that others
can see (close a connection, say farewell) are carried out once the book has made the transaction durable. A
transaction that is not committed leaves no trace, because sessions are immutable values.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from stagebook.book.changes import (
    AppendEvent,
    Change,
    EndSession,
    OpenSession,
    PutParticipant,
    PutReplica,
)
from stagebook.book.store import Book, Durable
from stagebook.manager.session.event_clock import EventClock
from stagebook.manager.session.order_dispatcher import OrderDispatcher
from stagebook.manager.session.pending_resources import PendingResources
from stagebook.manager.session.session_registry import Route, SessionRegistry
from stagebook.manager.session.timer_queue import Timer, TimerQueue
from stagebook.stage.clock import Clock, Instant, Randomness
from stagebook.stage.errors import ServerBusyError, StagebookError
from stagebook.stage.ids import new_session_id
from stagebook.stage.limits import Limits
from stagebook.stage.resources import ParticipantRecord, Stage
from stagebook.stage.session import orders
from stagebook.stage.session.decide import decide
from stagebook.stage.session.draft import Context, Decision
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import Session

MAXIMUM_BACKLOG = 100_000
"""Transactions that may wait for the book before new attempts are refused: some seconds of work."""


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What all decisions share: the quotas, and how long a session lingers."""

    limits: Limits
    linger_ms: int


class UnitOfWork:
    """Owns the running sessions and is the only part that writes the book.

    `changed` is called with each session that a commit has replaced.
    """

    def __init__(
        self, *, book: Book, clock: Clock, randomness: Randomness, rules: SessionRules, dispatcher: OrderDispatcher
    ) -> None:
        self.book = book
        self.registry = SessionRegistry()
        self.timers = TimerQueue()
        self.pending = PendingResources(book=book)
        self.rules = rules
        self.backlog = 0
        self.changed: Callable[[Session], None] = lambda _session: None
        self._clock = clock
        self._event_clock = EventClock(clock, floor_ms=book.last_time_ms())
        self._randomness = randomness
        self.dispatcher = dispatcher
        self._last: Durable | None = None
        self._departed: dict[tuple[str, str], tuple[ParticipantRecord, Durable]] = {}

    def now(self) -> Instant:
        """Return the present moment for events and timers."""
        return self._event_clock.now()

    def system_time_ms(self) -> int:
        """Return the machine's wall clock, for token expiry."""
        return self._clock.now_ms()

    def begin(self) -> "Transaction":
        """Return an empty transaction. Nothing may be awaited between `begin` and `commit`."""
        return Transaction(self)

    def session_of(self, stage: Stage) -> Session:
        """Return the running session of a stage, or a new one that opens with its first event."""
        running = self.registry.sessions.get(stage.arn)
        return running or Session(
            stage_arn=stage.arn, account_id=stage.account_id, session_id=new_session_id(self._randomness)
        )

    def known_record(self, session: Session, participant_id: str) -> ParticipantRecord | None:
        """Return the row of a participant that was in a session before and has left it, or None."""
        if not session.has_departed or participant_id in session.participants:
            return None
        departed = self._departed.get((session.session_id, participant_id))
        if departed is not None:
            return departed[0]
        return self.book.get_participant(session.stage_arn, session.session_id, participant_id)

    def require_capacity(self) -> None:
        """Raise ServerBusyError if too many transactions wait for the book."""
        if self.backlog >= MAXIMUM_BACKLOG:
            raise ServerBusyError("too many events wait to be written; try again")

    def submit(self, changes: list[Change]) -> Durable:
        """Submit changes that touch no session; return what to await until they are durable."""
        durable = self.book.submit(changes).durable
        self._last = durable
        self.backlog += 1
        self.pending.note(changes, durable)
        durable.add_done_callback(self._note_done)
        return durable

    def _note_done(self, durable: asyncio.Future[None]) -> None:
        self.backlog -= 1
        durable.exception()  # Mark it as retrieved: not every transaction has a caller that awaits it.

    async def settled(self) -> None:
        """Wait until everything submitted so far is durable and the orders that followed are carried out."""
        if self._last is not None:
            await self._last
        await self.dispatcher.settled()

    async def wait(self, durable: Durable | None) -> None:
        """Wait for what `Transaction.commit` returned."""
        if durable is not None:
            await durable

    def commit(self, transaction: "Transaction") -> Durable | None:
        """Commit a transaction; see Transaction.commit."""
        changes = transaction.changes()
        durable = self.submit(changes) if changes else self._last
        self._remember_departed(transaction, durable)
        for session in transaction.sessions.values():
            self.registry.install(session)
            self.changed(session)
        visible = [order for stage_arn, order in transaction.orders if not self._follow(stage_arn, order)]
        if visible and changes and durable is not None:
            durable.add_done_callback(lambda done: self._carry_out(done, visible))
        elif visible:
            self.dispatcher.carry_out(visible)
        return durable

    def _carry_out(self, durable: asyncio.Future[None], visible: list[orders.Order]) -> None:
        if durable.exception() is None:
            self.dispatcher.carry_out(visible)

    def _follow(self, stage_arn: str, order: orders.Order) -> bool:
        """Carry out an order that only concerns memory, at once. Return whether it was one."""
        match order:
            case orders.OpenRoute():
                self.registry.routes[order.connection_id] = Route(
                    stage_arn=stage_arn,
                    participant_id=order.participant_id,
                    kind=order.kind,
                    connection_token_id=order.connection_token_id,
                )
            case orders.CloseRoute():
                self.registry.routes.pop(order.connection_id, None)
            case orders.SetTimer():
                self.timers.set(order.key, Timer(stage_arn=stage_arn, due_ms=order.due_ms, fact=order.fact))
            case orders.CancelTimer():
                self.timers.cancel(order.key)
            case orders.CancelAttempt():
                self.registry.cancelled[order.connection_id] = order.error
            case orders.CloseConnection() | orders.EndSource() | orders.CloseEvents():
                return False
        return True

    def _remember_departed(self, transaction: "Transaction", durable: Durable | None) -> None:
        """Keep the rows of participants that have left until the book shows them."""
        for session_id, record in transaction.departed:
            if durable is not None:
                key = (session_id, record.participant_id)
                self._departed[key] = (record, durable)
                durable.add_done_callback(partial(self._forget_departed, key))

    def _forget_departed(self, key: tuple[str, str], durable: asyncio.Future[None]) -> None:
        departed = self._departed.get(key)
        if departed is not None and departed[1] is durable:
            del self._departed[key]


class Transaction:
    """Facts that are decided together and committed together."""

    def __init__(self, unit: UnitOfWork) -> None:
        self.sessions: dict[str, Session] = {}
        self.orders: list[tuple[str, orders.Order]] = []
        self._unit = unit
        self._at = unit.now()
        self._starts: list[Change] = []
        self._rows: list[Change] = []
        self._events: list[Change] = []
        self._replicas: list[Change] = []
        self._resources: list[Change] = []
        self._ends: list[Change] = []
        self.departed: list[tuple[str, ParticipantRecord]] = []

    @property
    def at(self) -> Instant:
        """The moment of everything in the transaction."""
        return self._at

    def add(self, *changes: Change) -> None:
        """Add changes of resources, which follow the sessions' own."""
        self._resources.extend(changes)

    def apply(self, session: Session, fact: SessionFact) -> StagebookError | None:
        """Apply a fact to a session, and the facts that follow to other sessions.

        Returns the refusal, or None. A refused attempt can have an event: commit the transaction in that case too. A
        refusal by another session refuses all: do not commit it.
        """
        queue: deque[tuple[Session, SessionFact]] = deque([(session, fact)])
        first: StagebookError | None = None
        is_first = True
        while queue:
            target, next_fact = queue.popleft()
            current = self.sessions.get(target.stage_arn, target)
            decision = decide(current, next_fact, self._context(current))
            self._take(decision)
            queue.extend(self._forwarded(decision))
            if is_first:
                first, is_first = decision.refusal, False
            elif decision.refusal is not None:
                return decision.refusal
        return first

    def commit(self) -> Durable | None:
        """Submit everything as one transaction of the book and install the sessions.

        Returns what to await until it is durable. Without a change that is the transaction before this one, or None if
        there is none. Raises BookFailedError and ChangeRefusedError; then nothing has changed.
        """
        return self._unit.commit(self)

    def changes(self) -> list[Change]:
        """Return the changes of the book in the order that it needs."""
        return [*self._starts, *self._rows, *self._events, *self._replicas, *self._ends, *self._resources]

    def _context(self, session: Session) -> Context:
        registry, account_id = self._unit.registry, session.account_id
        publishers, subscribers = registry.publishers(account_id), registry.subscribers(account_id)
        for staged in self.sessions.values():
            if staged.account_id == account_id:
                running = registry.sessions.get(staged.stage_arn)
                publishers += staged.usage.publishers - (running.usage.publishers if running else 0)
                subscribers += staged.usage.subscribers - (running.usage.subscribers if running else 0)
        rules = self._unit.rules
        return Context(
            at=self._at,
            limits=rules.limits,
            linger_ms=rules.linger_ms,
            account_publishers=publishers,
            account_subscribers=subscribers,
        )

    def _take(self, decision: Decision) -> None:
        session = decision.session
        stage_arn, session_id, at_ms = session.stage_arn, session.session_id, self._at.wall_ms
        self.sessions[stage_arn] = session
        self.departed.extend((session_id, record) for record in decision.departed)
        self._events.extend(
            AppendEvent(
                stage_arn=stage_arn,
                session_id=session_id,
                participant_id=entry.participant_id,
                event=entry.event,
                at_ms=at_ms,
            )
            for entry in decision.events
        )
        for order in decision.orders:
            match order:
                case orders.WriteParticipant():
                    self._rows.append(
                        PutParticipant(stage_arn=stage_arn, session_id=session_id, participant=order.record)
                    )
                case orders.WriteSessionStart():
                    self._starts.append(
                        OpenSession(stage_arn=stage_arn, session_id=session_id, start_ms=order.start_ms)
                    )
                case orders.WriteReplica():
                    self._replicas.append(PutReplica(replica=order.replica))
                case orders.WriteSessionEnd():
                    self._ends.append(EndSession(stage_arn=stage_arn, session_id=session_id, end_ms=order.end_ms))
                case _:
                    self.orders.append((stage_arn, order))

    def _forwarded(self, decision: Decision) -> list[tuple[Session, SessionFact]]:
        """Return the facts that a decision forwards, with their sessions. A session that has ended gets none."""
        found = []
        for order in decision.orders:
            if isinstance(order, orders.Forward):
                session = self.sessions.get(order.stage_arn) or self._unit.registry.sessions.get(order.stage_arn)
                if session is not None:
                    found.append((session, order.fact))
        return found
