"""One transaction over sessions: facts are decided, and what the decisions order is collected.

A fact that a decision forwards to another session is applied in the same transaction, so both ends of a replication
change together. Sessions are immutable values and only `commit` replaces them, so a transaction that is not committed
has no effect and needs no rollback.
"""

from collections import deque
from collections.abc import Callable
from operator import itemgetter

import msgspec

from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant, PutReplica
from stagebook.book.store import Durable
from stagebook.manager.session.session_registry import SessionRegistry
from stagebook.stage.clock import Instant
from stagebook.stage.errors import StagebookError
from stagebook.stage.limits import Limits
from stagebook.stage.resources import ParticipantRecord
from stagebook.stage.session import orders
from stagebook.stage.session.decide import decide
from stagebook.stage.session.draft import Context, Decision
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import Session


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What all decisions share: the quotas, and how long a session lingers."""

    limits: Limits
    linger_ms: int


class Transaction:
    """Facts that are decided together and committed together. `at` is the moment of everything in it."""

    __slots__ = ("_changes", "_commit", "_registry", "_rules", "at", "departed", "orders", "sessions")

    def __init__(
        self,
        *,
        registry: SessionRegistry,
        rules: SessionRules,
        at: Instant,
        commit: Callable[["Transaction"], Durable | None],
    ) -> None:
        self.at = at
        self.sessions: dict[str, Session] = {}
        self.orders: list[tuple[str, orders.Order]] = []
        self._registry = registry
        self._rules = rules
        self._commit = commit
        self._changes: list[tuple[int, Change]] = []
        self.departed: list[tuple[str, ParticipantRecord]] = []

    def add(self, *changes: Change) -> None:
        """Add changes of resources, stages and revocations. They follow those that the sessions' decisions make."""
        self._changes += [(_RESOURCES, change) for change in changes]

    def apply(self, session: Session, fact: SessionFact) -> StagebookError | None:
        """Apply a fact to a session, and the facts that follow to other sessions.

        A fact is applied to the newest state of its session in this transaction. Returns the refusal, or None. A
        refused attempt can have an event: commit the transaction in that case too. A refusal by a session that a fact
        was forwarded to (only StartParticipantReplication has one) refuses all: do not commit it.
        """
        current = self.sessions.get(session.stage_arn, session)
        decision = decide(current, fact, self._context(current))
        forwards = deque(self._take(decision))
        # First in, first out: facts reach the other sessions in the order of the decisions that forwarded them. The
        # loop ends because a fact is forwarded at most once in each direction, see `rules/replicas.py`.
        while forwards:
            forward = forwards.popleft()
            target = self.sessions.get(forward.stage_arn) or self._registry.sessions.get(forward.stage_arn)
            if target is not None:  # else the session has ended, and with it the other end of the replication
                forwarded = decide(target, forward.fact, self._context(target))
                if forwarded.refusal is not None:
                    return forwarded.refusal
                forwards.extend(self._take(forwarded))
        return decision.refusal

    def commit(self) -> Durable | None:
        """Submit everything as one transaction of the book and install the sessions.

        Returns what to await until it is durable. A transaction without changes returns the one before it, because its
        answer may rest on what that one has written; None if there is none. Raises BookFailedError and
        ChangeRefusedError; then nothing has changed.
        """
        return self._commit(self)

    def changes(self) -> list[Change]:
        """Return the changes for the book in the order of their ranks; within a rank, in the order of the decisions."""
        # Decisions of several sessions alternate in the list; see the ranks below.
        if len(self._changes) > 1:
            self._changes.sort(key=itemgetter(0))
        return [change for _, change in self._changes]

    def _context(self, session: Session) -> Context:
        registry, account_id = self._registry, session.account_id
        publishers, subscribers = registry.publishers(account_id), registry.subscribers(account_id)
        # The registry counts the committed sessions. Add what this transaction has changed so far.
        for staged in self.sessions.values():
            if staged.account_id == account_id:
                running = registry.sessions.get(staged.stage_arn)
                publishers += staged.usage.publishers - (running.usage.publishers if running else 0)
                subscribers += staged.usage.subscribers - (running.usage.subscribers if running else 0)
        rules = self._rules
        return Context(
            at=self.at,
            limits=rules.limits,
            linger_ms=rules.linger_ms,
            account_publishers=publishers,
            account_subscribers=subscribers,
        )

    def _take(self, decision: Decision) -> list[orders.Forward]:
        """Collect the session, the changes and the orders of a decision; return the facts that it forwards."""
        session = decision.session
        forwards: list[orders.Forward] = []
        stage_arn, session_id, at_ms = session.stage_arn, session.session_id, self.at.wall_ms
        self.sessions[stage_arn] = session
        if decision.departed:
            self.departed += [(session_id, record) for record in decision.departed]
        for entry in decision.events:
            event = AppendEvent(
                stage_arn=stage_arn,
                session_id=session_id,
                participant_id=entry.participant_id,
                event=entry.event,
                at_ms=at_ms,
            )
            self._changes.append((_EVENTS, event))
        for order in decision.orders:
            if type(order) in WRITES:
                self._changes.append(_change_of(order, stage_arn, session_id))
            elif type(order) is orders.Forward:
                forwards.append(order)
            else:
                self.orders.append((stage_arn, order))
        return forwards


_STARTS, _ROWS, _EVENTS, _REPLICAS, _ENDS, _RESOURCES = range(6)
"""The order in which the book needs the changes of one transaction.

A row refers to the row of its session, and an event to the row of its participant, so they come after these. A session
ends after its last event. The sort is stable: events keep the order in which they were decided.
"""


WRITES = (orders.WriteParticipant, orders.WriteSessionStart, orders.WriteReplica, orders.WriteSessionEnd)
"""The orders that write a row."""


def _change_of(order: orders.Order, stage_arn: str, session_id: str) -> tuple[int, Change]:
    """Return the change that an order writes, with its rank."""
    match order:
        case orders.WriteParticipant():
            return _ROWS, PutParticipant(stage_arn=stage_arn, session_id=session_id, participant=order.record)
        case orders.WriteSessionStart():
            return _STARTS, OpenSession(stage_arn=stage_arn, session_id=session_id, start_ms=order.start_ms)
        case orders.WriteReplica():
            return _REPLICAS, PutReplica(replica=order.replica)
        case orders.WriteSessionEnd():
            return _ENDS, EndSession(stage_arn=stage_arn, session_id=session_id, end_ms=order.end_ms)
        case _:
            raise TypeError(f"{type(order).__name__} writes no row")
