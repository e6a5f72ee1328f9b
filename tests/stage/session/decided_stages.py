"""Two stages whose sessions are decided by `decide`, and a test double of the manager that keeps state in dictionaries.

It replaces the unit of work in property tests: it applies forwarded facts in the same transaction, discards a
transaction that the other session refuses, and changes routes, timers and rows by the orders.
"""

from collections import defaultdict, deque
from collections.abc import Iterator

from stagebook.stage.clock import Instant
from stagebook.stage.errors import StagebookError
from stagebook.stage.events import Event, EventName
from stagebook.stage.limits import Limits
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.resources import ParticipantRecord
from stagebook.stage.session import orders
from stagebook.stage.session.decide import decide
from stagebook.stage.session.decision import Context, Decision
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_phase import SessionPhase
from stagebook.stage.session.session_state import Session
from tests.stage.session.decided_session import ACCOUNT, LINGER_MS, OTHER_STAGE, STAGE, START

STAGES = (STAGE, OTHER_STAGE)


class Shell:
    """The running sessions of two stages and everything that their decisions have ordered."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.at = START
        self.sessions: dict[str, Session] = {}
        self.routes: dict[str, tuple[str, str, ConnectionKind]] = {}
        self.timers: dict[str, tuple[str, int, SessionFact]] = {}
        self.asked: dict[str, str] = {}
        self.cancelled: set[str] = set()
        self.rows: dict[tuple[str, str], ParticipantRecord] = {}
        self.events: dict[tuple[str, str], list[Event]] = defaultdict(list)
        self.first_joins_ms: dict[tuple[str, str], int] = {}
        self.started: set[str] = set()
        self.ended: set[str] = set()
        self._number = 0

    def fresh_id(self, prefix: str) -> str:
        """An id that was never used."""
        self._number += 1
        return f"{prefix}{self._number}"

    def session(self, stage_arn: str) -> Session:
        """The running session of a stage, or a new one."""
        running = self.sessions.get(stage_arn)
        return running or Session(stage_arn=stage_arn, account_id=ACCOUNT, session_id=self.fresh_id("st-"))

    def known(self, session: Session, participant_id: str) -> ParticipantRecord | None:
        """The row of a participant that was in a session before and has left it."""
        if not session.has_departed or participant_id in session.participants:
            return None
        return self.rows.get((session.session_id, participant_id))

    def advance(self, duration_ms: int) -> None:
        self.at = Instant(wall_ms=self.at.wall_ms + duration_ms, monotonic_ms=self.at.monotonic_ms + duration_ms)

    def due(self) -> Iterator[tuple[str, SessionFact]]:
        """Take out and yield the timers that are due now, in order."""
        for key, (stage_arn, due_ms, fact) in sorted(self.timers.items(), key=lambda item: (item[1][1], item[0])):
            if due_ms <= self.at.monotonic_ms and self.timers.get(key) == (stage_arn, due_ms, fact):
                del self.timers[key]
                yield stage_arn, fact

    def apply(self, session: Session, fact: SessionFact, *beside: Session) -> StagebookError | None:
        """Decide a fact with all that it forwards, and commit it unless another session refuses it.

        `beside` are sessions of the transaction that are not running yet: the destination of a replication.
        """
        staged = {each.stage_arn: each for each in beside}
        decisions: list[Decision] = []
        queue: deque[tuple[Session, SessionFact]] = deque([(session, fact)])
        while queue:
            target, next_fact = queue.popleft()
            current = staged.get(target.stage_arn, target)
            kept = repr(current)
            decision = decide(current, next_fact, self._context(staged))
            assert repr(current) == kept, "decide has changed the session that it was given"
            if decisions and decision.refusal is not None:
                return decision.refusal
            decisions.append(decision)
            staged[current.stage_arn] = decision.session
            for order in decision.orders:
                if isinstance(order, orders.Forward):
                    other = staged.get(order.stage_arn) or self.sessions.get(order.stage_arn)
                    if other is not None:
                        queue.append((other, order.fact))
        for decision in decisions:
            self._commit(decision)
        for changed in staged.values():
            is_unused = changed.phase is SessionPhase.UNOPENED and not len(changed.participants)
            if changed.phase is SessionPhase.ENDED or is_unused:
                self.sessions.pop(changed.stage_arn, None)
            else:
                self.sessions[changed.stage_arn] = changed
        return decisions[0].refusal

    def _context(self, staged: dict[str, Session]) -> Context:
        current = {**self.sessions, **staged}.values()
        return Context(
            at=self.at,
            limits=self.limits,
            linger_ms=LINGER_MS,
            account_publishers=sum(session.usage.publishers for session in current),
            account_subscribers=sum(session.usage.subscribers for session in current),
        )

    def _commit(self, decision: Decision) -> None:
        session_id = decision.session.session_id
        for order in decision.orders:
            self._carry_out(decision.session, order)
        for entry in decision.events:
            assert session_id in self.started
            assert (session_id, entry.participant_id) in self.rows
            self.events[session_id, entry.participant_id].append(entry.event)
            if entry.event.name is EventName.JOINED:
                self.first_joins_ms.setdefault((session_id, entry.participant_id), self.at.wall_ms)

    def _carry_out(self, session: Session, order: orders.Order) -> None:
        match order:
            case orders.WriteSessionStart():
                assert session.session_id not in self.started
                self.started.add(session.session_id)
            case orders.WriteParticipant():
                assert session.session_id in self.started
                self.rows[session.session_id, order.record.participant_id] = order.record
            case orders.WriteSessionEnd():
                assert session.session_id in self.started - self.ended
                self.ended.add(session.session_id)
            case orders.OpenRoute():
                self.routes[order.connection_id] = (session.stage_arn, order.participant_id, order.kind)
            case orders.CloseRoute():
                self.routes.pop(order.connection_id, None)
                self.asked.pop(order.connection_id, None)
            case orders.AskEngine():
                self.asked[order.connection_id] = order.source_id
            case orders.CancelAttempt():
                self.cancelled.add(order.connection_id)
            case orders.SetTimer():
                self.timers[order.key] = (session.stage_arn, order.due_ms, order.fact)
            case orders.CancelTimer():
                self.timers.pop(order.key, None)
            case _:
                pass
