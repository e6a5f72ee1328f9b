"""One transaction over sessions: facts are decided, and what the decisions order is collected.

A fact that a decision forwards to another session is applied in the same transaction, so both ends of a replication
change together. Sessions are immutable values and only `commit` replaces them, so a transaction that is not committed
has no effect and needs no rollback.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant, PutReplica
from stagebook.book.store import Durable
from stagebook.manager.session.session_registry import SessionRegistry
from stagebook.stage.clock import Instant
from stagebook.stage.errors import StagebookError
from stagebook.stage.limits import Limits
from stagebook.stage.resources import ParticipantRecord
from stagebook.stage.session import orders
from stagebook.stage.session.decide import decide
from stagebook.stage.session.decision import Context, Decision
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import Session, Usage


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What all decisions share: the quotas, and how long a session lingers.

    `lowered` has quotas that replace them for one participant of one stage, by their ids (`decision_control.py`).
    """

    limits: Limits
    linger_ms: int
    lowered: Mapping[tuple[str, str], Limits] = {}


class Transaction:
    """Facts that are decided together and committed together. `at` is the moment of everything in it.

    `changed_ids` are the ids of the participants that each decision has changed, with the ARN of its stage.
    """

    __slots__ = (
        "_changes",
        "_commit",
        "_forwards",
        "_is_mixed",
        "_registry",
        "_rules",
        "_uncounted",
        "_usage",
        "at",
        "changed_ids",
        "departed",
        "has_added",
        "orders",
        "sessions",
    )

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
        self.changed_ids: list[tuple[str, Collection[str]]] = []
        self.orders: list[tuple[str, orders.Order]] = []
        self._registry = registry
        self._rules = rules
        self._commit = commit
        self._changes: list[Change] = []
        self._is_mixed = False
        """Whether the changes may not be in the order of their ranks. Those of one decision are."""
        self._forwards: list[orders.Forward] = []
        # What this transaction has changed of the usage of accounts, without its last decision. Most transactions have
        # only one decision, so it is counted when the next one needs it.
        self._usage: dict[str, tuple[int, int]] | None = None
        self._uncounted: tuple[str, Usage, Usage] | None = None
        self.departed: Sequence[tuple[str, ParticipantRecord]] = ()
        self.has_added = False
        """Whether there are changes that no decision has made."""

    def add(self, *changes: Change) -> None:
        """Add changes of resources, stages and revocations. They follow those that the sessions' decisions make."""
        self._changes += changes
        self.has_added = True

    def apply(self, session: Session, fact: SessionFact) -> StagebookError | None:
        """Apply a fact to a session, and the facts that follow to other sessions.

        A fact is applied to the newest state of its session in this transaction. Returns the refusal, or None. A
        refused attempt can have an event: commit the transaction in that case too. A refusal by a session that a fact
        was forwarded to (only StartParticipantReplication has one) refuses all: do not commit it.
        """
        refusal = self._decide(self.sessions.get(session.stage_arn, session), fact)
        return self._apply_forwarded() or refusal

    def apply_decision(self, session: Session, decision: Decision) -> StagebookError | None:
        """Apply a decision about the newest state of a session, as `apply` does."""
        refusal = self._take(session, decision)
        return self._apply_forwarded() or refusal

    def _apply_forwarded(self) -> StagebookError | None:
        """Apply the facts that decisions have forwarded to other sessions; return the first refusal."""
        # The list grows while it is iterated: facts reach the other sessions in the order of the decisions that
        # forwarded them. The loop ends because a fact is forwarded at most once in each direction, see
        # `rules/replicas.py`.
        for forward in self._forwards:
            target = self.sessions.get(forward.stage_arn) or self._registry.sessions.get(forward.stage_arn)
            if target is not None:  # else the session has ended, and with it the other end of the replication
                refusal = self._decide(target, forward.fact)
                if refusal is not None:
                    return refusal
        self._forwards.clear()
        return None

    def commit(self) -> Durable | None:
        """Submit everything as one transaction of the book and install the sessions.

        Returns what to await until it is durable. A transaction without changes returns the one before it, because its
        answer may rest on what that one has written; None if there is none. Raises BookFailedError and
        ChangeRefusedError; then nothing has changed.
        """
        return self._commit(self)

    def changes(self) -> list[Change]:
        """Return the changes for the book in the order of their ranks; within a rank, in the order of the decisions."""
        if self._is_mixed:
            self._changes.sort(key=_rank)
        return self._changes

    def _decide(self, session: Session, fact: SessionFact) -> StagebookError | None:
        """Decide one fact; collect the session, the changes and the orders of the decision, and return the refusal."""
        context = self._context(session.account_id)
        if self._rules.lowered:
            context = with_lowered(context, session.stage_arn, fact, self._rules)
        return self._take(session, decide(session, fact, context))

    def _take(self, before: Session, decision: Decision) -> StagebookError | None:
        session = decision.session
        stage_arn, session_id = session.stage_arn, session.session_id
        self._uncounted = session.account_id, before.usage, session.usage
        self.sessions[stage_arn] = session
        self.changed_ids.append((stage_arn, decision.changed_ids))
        if decision.departed:
            self.departed = [*self.departed, *((session_id, record) for record in decision.departed)]
        changes, following, forwards = collect(decision, self.at.wall_ms)
        self._is_mixed = self._is_mixed or bool(self._changes)
        self._changes += changes
        self.orders += [(stage_arn, order) for order in following]
        self._forwards += forwards
        return decision.refusal

    def _context(self, account_id: str) -> Context:
        publishers, subscribers = self._registry.account_usage(account_id)
        if self._uncounted is not None:
            # The registry counts the committed sessions. Add what this transaction has changed so far.
            self._count(*self._uncounted)
            self._uncounted = None
        if self._usage is not None:
            changed = self._usage.get(account_id, (0, 0))
            publishers, subscribers = publishers + changed[0], subscribers + changed[1]
        return Context(
            at=self.at,
            limits=self._rules.limits,
            linger_ms=self._rules.linger_ms,
            account_publishers=publishers,
            account_subscribers=subscribers,
        )

    def _count(self, account_id: str, before: Usage, after: Usage) -> None:
        if self._usage is None:
            self._usage = {}
        publishers, subscribers = self._usage.get(account_id, (0, 0))
        self._usage[account_id] = (
            publishers + after.publishers - before.publishers,
            subscribers + after.subscribers - before.subscribers,
        )


def with_lowered(context: Context, stage_arn: str, fact: SessionFact, rules: SessionRules) -> Context:
    """Return the context with the quotas of the participant that requests something, if they are lowered."""
    claims = getattr(fact, "claims", None)
    limits = None if claims is None else rules.lowered.get((stage_arn, claims.participant_id))
    return context if limits is None else replace(context, limits=limits)


def collect(decision: Decision, at_ms: int) -> tuple[list[Change], list[orders.Order], list[orders.Forward]]:
    """Return what follows from a decision at the time `at_ms`: the changes for the book in the order of their ranks,
    the orders that write nothing, and the facts for other sessions.
    """
    stage_arn, session_id = decision.session.stage_arn, decision.session.session_id
    changes: list[Change] = []
    following: list[orders.Order] = []
    forwards: list[orders.Forward] = []
    is_mixed = False
    for order in decision.orders:
        kind = type(order)
        if kind in WRITES:
            changes.append(_change_of(order, stage_arn, session_id))
            is_mixed = is_mixed or kind in LATE_WRITES
        elif type(order) is orders.Forward:
            forwards.append(order)
        else:
            following.append(order)
    for entry in decision.events:
        event = AppendEvent(
            stage_arn=stage_arn,
            session_id=session_id,
            participant_id=entry.participant_id,
            event=entry.event,
            at_ms=at_ms,
        )
        changes.append(event)
    if is_mixed:
        changes.sort(key=_rank)
    return changes, following, forwards


_RANKS: Mapping[type[Change], int] = {
    OpenSession: 0,
    PutParticipant: 1,
    AppendEvent: 2,
    PutReplica: 3,
    EndSession: 4,
}
"""The order in which the book needs the changes of one transaction; those of resources and stages follow.

A row refers to the row of its session, and an event to the row of its participant, so they come after these. A session
ends after its last event. The sort is stable: events keep the order in which they were decided.
"""


def _rank(change: Change) -> int:
    return _RANKS.get(type(change), len(_RANKS))


WRITES = frozenset((orders.WriteParticipant, orders.WriteSessionStart, orders.WriteReplica, orders.WriteSessionEnd))
"""The orders that write a row."""
LATE_WRITES = frozenset((orders.WriteReplica, orders.WriteSessionEnd))
"""Those whose rows follow the events of their decision."""


def _change_of(order: orders.Order, stage_arn: str, session_id: str) -> Change:
    """Return the change that an order writes."""
    match order:
        case orders.WriteParticipant():
            return PutParticipant(stage_arn=stage_arn, session_id=session_id, participant=order.record)
        case orders.WriteSessionStart():
            return OpenSession(stage_arn=stage_arn, session_id=session_id, start_ms=order.start_ms)
        case orders.WriteReplica():
            return PutReplica(replica=order.replica)
        case orders.WriteSessionEnd():
            return EndSession(stage_arn=stage_arn, session_id=session_id, end_ms=order.end_ms)
        case _:
            raise TypeError(f"{type(order).__name__} writes no row")
