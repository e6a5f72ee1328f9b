"""The unit of work: commits transactions to the book, installs the sessions, and carries out the orders.

`commit` submits all rows and events of a transaction as one transaction of the book and replaces the sessions in
memory. Orders that clients can observe (closing a connection or a websocket) are carried out once the book has made the
transaction durable: no client may see the effect of an event that a crash could still lose.

Sessions are replaced at the submission, not when the transaction is durable. The next decision then sees them, and a
burst of requests shares one sync to disk instead of waiting for one another. If the book fails, no later transaction
can succeed and the server stops, so state in memory that never became durable is not used.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from stagebook.book.changes import Change
from stagebook.book.decision_book import DecisionBook
from stagebook.book.store import Durable
from stagebook.manager.session.event_clock import EventClock
from stagebook.manager.session.order_dispatcher import OrderDispatcher
from stagebook.manager.session.pending_resources import PendingResources
from stagebook.manager.session.session_entries import SessionEntries
from stagebook.manager.session.session_registry import Route, SessionRegistry
from stagebook.manager.session.timer_queue import Timer, TimerQueue
from stagebook.manager.session.transaction import SessionRules, Transaction, collect, with_lowered
from stagebook.stage.arns import Arn
from stagebook.stage.clock import Clock, Instant, Randomness
from stagebook.stage.errors import ServerBusyError, StagebookError
from stagebook.stage.ids import new_arn
from stagebook.stage.resources import Stage
from stagebook.stage.session import orders
from stagebook.stage.session.decide import decide
from stagebook.stage.session.decision import Context, Decision
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import Session

MAXIMUM_BACKLOG = 100_000
"""Transactions that may wait for the book before new attempts are refused: some seconds of work.

Only attempts of participants and encoders are refused. Ends are always taken, because they free memory and quotas.
"""

VISIBLE_ORDERS = (orders.CloseConnection, orders.EndSource, orders.CloseEvents)
"""The orders that clients can observe. They wait until the transaction is durable."""


class RecordingFollower(Protocol):
    """What adds the changes of recordings to the transactions of sessions."""

    def follow(self, sessions: Mapping[str, Session], changes: Sequence[Change], at: Instant) -> Any:  # noqa: ANN401 - its own draft
        """Return what a transaction changes of the recordings, with `changes` for the book; None for nothing.

        `sessions` are those that the transaction leaves, by the ARNs of their stages, and `at` is its time.
        """

    def install(self, draft: Any, durable: Durable) -> None:  # noqa: ANN401 - its own draft
        """Keep what a transaction that was submitted has changed."""


class UnitOfWork:
    """Owns the running sessions and is the only part that writes the book.

    `changed` is called with the session that a commit has installed and the ids of its changed participants, once for
    each decision.
    """

    def __init__(
        self,
        *,
        book: DecisionBook,
        clock: Clock,
        randomness: Randomness,
        rules: SessionRules,
        dispatcher: OrderDispatcher,
    ) -> None:
        self.book = book
        self.registry = SessionRegistry()
        self.timers = TimerQueue()
        self.pending = PendingResources(book=book)
        self.rules = rules
        self.recordings: RecordingFollower | None = None
        self.changed: Callable[[Session, Collection[str]], None] = lambda _session, _participant_ids: None
        self._clock = clock
        self._event_clock = EventClock(clock, floor_ms=book.submitted_time_ms)
        self._randomness = randomness
        self.entries = SessionEntries(book=book, registry=self.registry, randomness=randomness)
        self.dispatcher = dispatcher
        self._last: Durable | None = None
        # The orders that only concern memory. AskEngine is not among them: the service that began the transaction asks.
        self._followers: Mapping[type[orders.Order], Callable[[str, Any], None]] = {
            orders.OpenRoute: self._open_route,
            orders.CloseRoute: self._close_route,
            orders.SetTimer: self._set_timer,
            orders.CancelTimer: self._cancel_timer,
            orders.CancelAttempt: self._cancel_attempt,
        }

    def now(self) -> Instant:
        """Return the present moment of the event clock, for events and timers."""
        return self._event_clock.now()

    def system_time_ms(self) -> int:
        """Return the machine's wall clock in milliseconds of Unix time, for token expiry.

        Not the event clock: applications that sign tokens use the real time, which the event clock may not follow yet.
        """
        return self._clock.now_ms()

    def begin(self) -> Transaction:
        """Return an empty transaction, with the present moment as its time.

        Do not await between `begin` and `commit`: another transaction could replace the sessions that this one has
        decided on, and its changes would be lost.
        """
        return Transaction(registry=self.registry, rules=self.rules, at=self.now(), commit=self.commit)

    def apply(self, session: Session, fact: SessionFact) -> tuple[StagebookError | None, Durable | None]:
        """Decide one fact and commit the decision; return the refusal, and what to await until it is durable.

        Both can be None. Not for a fact that another session can refuse, see `Transaction.apply`.
        """
        at, rules = self.now(), self.rules
        publishers, subscribers = self.registry.account_usage(session.account_id)
        context = Context(
            at=at,
            limits=rules.limits,
            linger_ms=rules.linger_ms,
            account_publishers=publishers,
            account_subscribers=subscribers,
        )
        if rules.lowered:
            context = with_lowered(context, session.stage_arn, fact, rules)
        decision = decide(session, fact, context)
        changes, following, forwards = collect(decision, at.wall_ms)
        if forwards or decision.departed:
            transaction = Transaction(registry=self.registry, rules=rules, at=at, commit=self.commit)
            refusal = transaction.apply_decision(session, decision)
            return refusal, self.commit(transaction)
        return decision.refusal, self._commit_decision(decision, changes, following, at)

    def _commit_decision(
        self, decision: Decision, changes: list[Change], following: list[orders.Order], at: Instant
    ) -> Durable | None:
        """Commit one decision of one session that nobody departs from: what `commit` does, without a transaction."""
        session = decision.session
        stage_arn = session.stage_arn
        durable = self._last
        if changes:
            follow = None if self.recordings is None else self.recordings.follow({stage_arn: session}, changes, at)
            if follow is None:
                durable = self._submit(changes)
            else:
                durable = self._submit_followed(changes, follow, has_resources=False)
            self.entries.note_sessions(changes)
        self.registry.install(session)
        self.changed(session, decision.changed_ids)
        visible: list[orders.Order] = []
        for order in following:
            self._follow(stage_arn, order, visible)
        if visible:
            self._show(visible, durable, is_changed=bool(changes))
        return durable

    def session_of(self, stage: Stage) -> Session:
        """Return the running session of a stage, or a new one, which is not recorded until its first event.

        Await `entries.prepare` before.
        """
        running = self.registry.sessions.get(stage.arn)
        return running or Session(
            stage_arn=stage.arn, account_id=stage.account_id, session_id=self.entries.new_session_id(stage.arn)
        )

    async def new_arn(self, *, region: str, account_id: str, resource_type: str) -> Arn:
        """Return the ARN of a new stage or resource. One that is or was in use is drawn again."""
        while True:
            arn = new_arn(
                region=region, account_id=account_id, resource_type=resource_type, randomness=self._randomness
            )
            if not await self.book.has_had(str(arn)) and self.pending.find(str(arn)) is None:
                return arn

    def require_capacity(self) -> None:
        """Raise ServerBusyError if MAXIMUM_BACKLOG transactions wait for the book. Call it before each new attempt."""
        if self.book.backlog >= MAXIMUM_BACKLOG:
            raise ServerBusyError("too many events wait to be written; try again")

    def submit(self, changes: list[Change]) -> Durable:
        """Submit changes as one transaction of the book; return what to await until they are durable.

        `commit` calls it for sessions; services call it directly for resources. Raises BookFailedError and
        ChangeRefusedError.
        """
        resources = self.pending.prepare(changes)
        durable = self._submit(changes)
        if resources:
            self.pending.note(resources, durable)
        return durable

    def _submit(self, changes: list[Change]) -> Durable:
        durable = self._last = self.book.submit(changes).durable
        return durable

    def follow_book(self) -> None:
        """Let no event be before the newest one in the book, to which accounts may have been added."""
        self._event_clock.raise_to(self.book.submitted_time_ms)

    async def durable(self) -> None:
        """Wait until everything submitted so far is in the book. Raises BookFailedError."""
        if self._last is not None:
            await self._last

    async def settled(self) -> bool:
        """Wait until everything submitted so far is durable and the orders that followed are carried out.

        Return whether nothing was submitted meanwhile. Transactions become durable in the order of submission, so the
        last one stands for all. Raises BookFailedError.
        """
        last = self._last
        await self.durable()
        # What has become durable in this turn of the loop carries its orders out in the next one.
        await asyncio.sleep(0)
        await self.dispatcher.settled()
        return self._last is last

    async def wait(self, durable: Durable | None) -> None:
        """Wait for what `Transaction.commit` returned."""
        if durable is not None:
            await durable

    def commit(self, transaction: Transaction) -> Durable | None:
        """Commit a transaction; see Transaction.commit."""
        changes, durable = transaction.changes(), self._last
        if changes:
            follow = None
            if self.recordings is not None:
                follow = self.recordings.follow(transaction.sessions, changes, transaction.at)
            durable = self._submit_followed(changes, follow, has_resources=transaction.has_added)
        if transaction.departed:
            self.entries.note_departed(transaction, durable)
        sessions = transaction.sessions
        for session in sessions.values():
            self.registry.install(session)
        if changes:
            self.entries.note_sessions(changes)
        for stage_arn, participant_ids in transaction.changed_ids:
            self.changed(sessions[stage_arn], participant_ids)
        # The caller holds the transaction while it waits, and must not hold an old session (`persistent_map.py`).
        sessions.clear()
        transaction.changed_ids.clear()
        visible: list[orders.Order] = []
        for stage_arn, order in transaction.orders:
            self._follow(stage_arn, order, visible)
        self._show(visible, durable, is_changed=bool(changes))
        return durable

    def _follow(self, stage_arn: str, order: orders.Order, visible: list[orders.Order]) -> None:
        """Carry out an order that only concerns memory, and add one that clients can observe to `visible`."""
        follow = self._followers.get(type(order))
        if follow is not None:
            follow(stage_arn, order)
        elif isinstance(order, VISIBLE_ORDERS):
            visible.append(order)

    def _show(self, visible: list[orders.Order], durable: Durable | None, *, is_changed: bool) -> None:
        # Without a change nothing has to become durable first.
        if visible and is_changed and durable is not None:
            durable.add_done_callback(lambda done: self._carry_out(done, visible))
        elif visible:
            self.dispatcher.carry_out(visible)

    def _submit_followed(
        self,
        changes: list[Change],
        draft: Any,  # noqa: ANN401 - what `RecordingFollower.follow` has returned
        *,
        has_resources: bool,
    ) -> Durable:
        """Submit changes together with those that they make of recordings. Decisions of sessions have no resources."""
        submit = self.submit if has_resources else self._submit
        if self.recordings is None or draft is None:
            return submit(changes)
        durable = submit([*changes, *draft.changes])
        self.recordings.install(draft, durable)
        return durable

    def _carry_out(self, durable: asyncio.Future[None], visible: list[orders.Order]) -> None:
        # After a failure of the book the server stops; ends that are not recorded must not be shown.
        if durable.exception() is None:
            self.dispatcher.carry_out(visible)

    def _open_route(self, stage_arn: str, order: orders.OpenRoute) -> None:
        route = Route(
            stage_arn=stage_arn,
            participant_id=order.participant_id,
            kind=order.kind,
            connection_token_id=order.connection_token_id,
        )
        self.registry.open_route(order.connection_id, route)

    def _close_route(self, _stage_arn: str, order: orders.CloseRoute) -> None:
        self.registry.close_route(order.connection_id)

    def _set_timer(self, stage_arn: str, order: orders.SetTimer) -> None:
        self.timers.set(order.key, Timer(stage_arn=stage_arn, due_ms=order.due_ms, fact=order.fact))

    def _cancel_timer(self, _stage_arn: str, order: orders.CancelTimer) -> None:
        self.timers.cancel(order.key)

    def _cancel_attempt(self, _stage_arn: str, order: orders.CancelAttempt) -> None:
        self.registry.cancelled[order.connection_id] = order.error
