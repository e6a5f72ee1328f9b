"""StartComposition, StopComposition, tags of compositions, and everything that happens to them (API reference).

What composes is a `CompositionEngine`. The rules are in `stage/composition`: this service makes facts from requests,
from reports of the engine, from the presence of the stage and from time, and commits what they lead to. An engine is
told to start or end only when that is durable.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TypeAlias

from msgspec.structs import replace

from stagebook.book.changes import AppendCompositionEvent, Change, PutComposition
from stagebook.book.store import Durable
from stagebook.manager.compositions.composed_participants import ChangedStages, composed_participants
from stagebook.manager.compositions.composition_requests import CompositionRequests, CompositionSpec
from stagebook.manager.compositions.known_compositions import KnownComposition
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.media.composition.composition_port import (
    CompositionEngine,
    CompositionFact,
    CompositionLost,
    OutputEnded,
    OutputFailed,
    OutputFault,
    OutputReconnecting,
    OutputStarted,
)
from stagebook.stage.arns import Arn
from stagebook.stage.clock import Instant
from stagebook.stage.composition.composition import KEPT_MS, Composition, CompositionState
from stagebook.stage.composition.composition_draft import CompositionDecision
from stagebook.stage.composition.composition_events import CompositionCause, CompositionErrorCode
from stagebook.stage.composition.composition_facts import (
    ComposerLost,
    CompositionChange,
    DestinationActive,
    DestinationBroken,
    DestinationComplete,
    DestinationLost,
    PublishersSeen,
    StageGone,
    StopAsked,
    TimePassed,
)
from stagebook.stage.composition.composition_machine import begin_composition, decide_composition, interrupted
from stagebook.stage.errors import ConflictError, ResourceNotFoundError
from stagebook.stage.session.session_state import Session

SHUTDOWN_SECONDS = 8.0
"""How long the end of the server waits for compositions to complete. They fail then."""

ChannelDirectory: TypeAlias = Callable[[str], str | None]
"""Returns the RTMP or RTMPS URL of a channel by its ARN; None if the server has no such channel."""


class CompositionService:
    """The compositions of one server. Without an engine, StartComposition is refused."""

    def __init__(self, *, unit: UnitOfWork, engine: CompositionEngine | None, requests: CompositionRequests) -> None:
        self._unit = unit
        self._engine = engine
        self._requests = requests
        self._known = requests.known
        self._changed = ChangedStages(show=self._show, durable=unit.durable)
        self._ended = asyncio.Event()
        self._forgotten_ms = 0
        if engine is not None:
            engine.listen(self._on_fact)

    async def recover(self, account_id: str | None = None) -> int:
        """End the compositions that an interrupted run has left; return how many there were.

        Those of one account, None for all accounts.
        """
        book = self._unit.book
        left = await book.read(account_id, lambda reader: reader.compositions.list_open(account_id=account_id))
        complete: Collection[tuple[str, str]] = ()
        if self._engine is not None and left:
            complete = await self._engine.complete_outputs([each.composition_id for each in left])
        at = self._unit.now()
        for composition in left:
            ids = [each for composition_id, each in complete if composition_id == composition.composition_id]
            for decision in interrupted(composition, at, complete=ids):
                self._submit(decision, at)
        await self._unit.durable()
        kept_ms = at.wall_ms - KEPT_MS
        ended = await book.read(
            account_id, lambda reader: reader.compositions.list_ended_after(kept_ms, account_id=account_id)
        )
        for composition in ended:
            self._known.add(KnownComposition(begin_composition(composition, at)))
        return len(left)

    async def start(self, spec: CompositionSpec) -> Composition:
        """Start a composition; return it when it is durable.

        A repeated idempotency token with the same parameters returns the existing composition. Raises
        InvalidInputError, ResourceNotFoundError (stage, configurations, channel), ConflictError (the token was used
        with other parameters) and ServiceQuotaExceededError.
        """
        existing = self._requests.repeated(spec)
        if existing is None:
            arn = await self._requests.new_arn(spec)
            # Another request with the same token may have come meanwhile.
            existing = self._requests.repeated(spec)
            if existing is None:
                return await self._start_new(spec, arn)
        await self._unit.durable()
        return existing.composition

    async def _start_new(self, spec: CompositionSpec, arn: Arn) -> Composition:
        max_running = None if self._engine is None else self._engine.max_compositions
        prepared = self._requests.prepare(spec, arn, is_served=self._engine is not None, max_running=max_running)
        at = self._unit.now()
        known = KnownComposition(begin_composition(prepared.composition, at))
        session = self._unit.registry.sessions.get(spec.stage_arn)
        self._decide(known, PublishersSeen(are_present=bool(composed_participants(session))), at)
        durable = self._unit.submit([PutComposition(composition=known.composition)])
        self._known.add(known)
        durable.add_done_callback(lambda done: self._begin(known, prepared.channels_in_use, done))
        composition = known.composition
        await durable
        return composition

    async def stop(self, *, arn: str) -> None:
        """Stop a composition; return when that is durable. One that has ended, or is ending, stays as it is.

        Raises ResourceNotFoundError.
        """
        self._apply(self._find(arn), StopAsked())
        await self._unit.durable()

    def find(self, arn: str) -> Composition | None:
        """Return a composition as it will be once everything is durable; None if GetComposition does not show it."""
        known = self._known.find(arn)
        return known.composition if known is not None and known.composition.is_shown(self._now_ms()) else None

    async def put_tags(self, *, arn: str, tags: dict[str, str]) -> None:
        """Replace the tags of a composition; return when that is durable. Raises ResourceNotFoundError."""
        known = self._find(arn)
        composition = replace(known.composition, tags=tags)
        known.running = replace(known.running, composition=composition)
        await self._unit.submit([PutComposition(composition=composition)])

    def require_unused(self, arn: str) -> None:
        """Raise ConflictError if a composition that runs uses this encoder or storage configuration."""
        for known in self._known.running():
            if arn in known.composition.configuration_arns:
                raise ConflictError(f"{arn} is in use by composition {known.composition.arn}")

    def session_changed(self, session: Session) -> None:
        """Note that participants of a session have changed. Costs nothing for a stage that is not composed."""
        if self._known.is_composed(session.stage_arn):
            self._changed.note(session.stage_arn)

    def stage_deleted(self, stage_arn: str) -> None:
        """End the compositions of a stage whose deletion was submitted."""
        for known in self._known.of_stage(stage_arn):
            self._apply(known, StageGone())

    @property
    def next_due_ms(self) -> int | None:
        """The monotonic time at which `tick` has an effect next."""
        due = (known.running.next_due_ms for known in self._known.running())
        return min((each for each in due if each is not None), default=None)

    def tick(self) -> None:
        """Decide what is due."""
        at = self._unit.now()
        for known in self._known.running():
            due_ms = known.running.next_due_ms
            if due_ms is not None and due_ms <= at.monotonic_ms:
                self._apply(known, TimePassed())
        if at.wall_ms - self._forgotten_ms >= KEPT_MS:
            self._forgotten_ms = at.wall_ms
            self._known.forget_old(at.wall_ms)

    @property
    def has_changes(self) -> bool:
        """Whether a change of a session is not shown yet."""
        return self._changed.is_showing

    async def settled(self) -> None:
        """Wait until every change of a session is shown."""
        await self._changed.settled()

    async def stop_showing(self) -> None:
        """Cancel what is to be shown, without a shutdown."""
        await self._changed.stop()

    async def shutdown(self, *, timeout_seconds: float = SHUTDOWN_SECONDS) -> None:
        """Stop all compositions; fail those that are not complete in time. Return when that is durable."""
        for known in self._known.running():
            self._apply(known, StopAsked(cause=CompositionCause.SHUTDOWN))
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while any(self._known.running()):
                    self._ended.clear()
                    await self._ended.wait()
        for known in self._known.running():
            self._apply(known, ComposerLost(cause=CompositionCause.SHUTDOWN))
        await self._changed.stop()
        await self._unit.durable()

    def _find(self, arn: str) -> KnownComposition:
        known = self._known.find(arn)
        if known is None or not known.composition.is_shown(self._now_ms()):
            raise ResourceNotFoundError(kind="composition", name=arn)
        return known

    def _now_ms(self) -> int:
        return self._unit.now().wall_ms

    def _apply(self, known: KnownComposition, fact: CompositionChange) -> Durable | None:
        """Decide a fact and submit what it leads to. Returns None if that is nothing."""
        at = self._unit.now()
        decision = self._decide(known, fact, at)
        if decision is None:
            return None
        durable = self._submit(decision, at)
        composition_id = known.composition.composition_id
        if decision.ends_composer:
            durable.add_done_callback(lambda done: self._end(known, composition_id, done))
        if not known.is_running:
            self._known.note_ended(known)
            self._ended.set()
        return durable

    def _decide(self, known: KnownComposition, fact: CompositionChange, at: Instant) -> CompositionDecision | None:
        """Decide a fact; return the decision if the book has to be told of it."""
        before = known.running
        decision = decide_composition(before, fact, at)
        known.running = decision.running
        return decision if decision.events or decision.running.composition != before.composition else None

    def _submit(self, decision: CompositionDecision, at: Instant) -> Durable:
        composition = decision.running.composition
        changes: list[Change] = [PutComposition(composition=composition)]
        changes += [
            AppendCompositionEvent(composition_arn=composition.arn, event=event, at_ms=at.wall_ms)
            for event in decision.events
        ]
        return self._unit.submit(changes)

    def _begin(self, known: KnownComposition, in_use: Sequence[str], durable: asyncio.Future[None]) -> None:
        """Tell the engine of a composition that is durable. Destinations whose channel is in use fail."""
        if durable.exception() is not None or self._engine is None:
            return
        for destination_id in in_use:
            conflict = CompositionErrorCode.CONFLICT_EXCEPTION
            self._apply(known, DestinationBroken(destination_id=destination_id, error_code=conflict))
        if known.is_running:
            known.request = self._requests.order(known.composition)
            self._engine.start_composition(known.request)
            self._changed.note(known.composition.stage_arn)

    def _end(self, known: KnownComposition, composition_id: str, durable: asyncio.Future[None]) -> None:
        if durable.exception() is None and self._engine is not None and known.request is not None:
            self._engine.end_composition(composition_id)

    def _show(self, stage_arn: str) -> None:
        participants = composed_participants(self._unit.registry.sessions.get(stage_arn))
        for known in self._known.of_stage(stage_arn):
            self._apply(known, PublishersSeen(are_present=bool(participants)))
            is_told = known.request is not None and known.composition.state is not CompositionState.STOPPING
            if is_told and participants != known.shown and self._engine is not None:
                known.shown = participants
                self._engine.show_participants(known.composition.composition_id, participants)

    def _on_fact(self, fact: CompositionFact) -> Durable | None:
        known = self._known.with_id(fact.composition_id)
        return None if known is None else self._apply(known, _change_of(fact))


_ERROR_CODES = {
    OutputFault.BUCKET_NOT_FOUND: CompositionErrorCode.RESOURCE_NOT_FOUND_EXCEPTION,
    OutputFault.ACCESS_DENIED: CompositionErrorCode.ACCESS_DENIED_EXCEPTION,
    OutputFault.STREAM_EXISTS: CompositionErrorCode.CONFLICT_EXCEPTION,
    OutputFault.INTERNAL: CompositionErrorCode.INTERNAL_SERVER_EXCEPTION,
}


def _change_of(fact: CompositionFact) -> CompositionChange:
    match fact:
        case OutputStarted():
            return DestinationActive(destination_id=fact.destination_id)
        case OutputReconnecting():
            return DestinationLost(destination_id=fact.destination_id)
        case OutputEnded():
            return DestinationComplete(destination_id=fact.destination_id)
        case OutputFailed():
            return DestinationBroken(destination_id=fact.destination_id, error_code=_ERROR_CODES[fact.fault])
        case CompositionLost():
            return ComposerLost()
