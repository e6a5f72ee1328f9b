"""One transaction over sessions: facts are decided, and what the decisions order is collected.

A fact that a decision forwards to another session is applied in the same transaction. This is how one transaction holds
both ends of a replication. Sessions are immutable values, so a transaction that is not committed leaves no trace.
"""

from collections import deque
from collections.abc import Callable

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
        self._starts: list[Change] = []
        self._rows: list[Change] = []
        self._events: list[Change] = []
        self._replicas: list[Change] = []
        self._resources: list[Change] = []
        self._ends: list[Change] = []
        self.departed: list[tuple[str, ParticipantRecord]] = []

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
        return self._commit(self)

    def changes(self) -> list[Change]:
        """Return the changes of the book in the order that it needs."""
        return [*self._starts, *self._rows, *self._events, *self._replicas, *self._ends, *self._resources]

    def _context(self, session: Session) -> Context:
        registry, account_id = self._registry, session.account_id
        publishers, subscribers = registry.publishers(account_id), registry.subscribers(account_id)
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

    def _take(self, decision: Decision) -> None:
        session = decision.session
        stage_arn, session_id, at_ms = session.stage_arn, session.session_id, self.at.wall_ms
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
                session = self.sessions.get(order.stage_arn) or self._registry.sessions.get(order.stage_arn)
                if session is not None:
                    found.append((session, order.fact))
        return found
