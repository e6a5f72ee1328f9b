"""The recordings that run, and what moves them.

A transaction of sessions is followed: PUBLISH_STARTED begins a recording or continues one that waits, PUBLISH_STOPPED
ends it or lets it wait. The states and the events of recordings are a part of that same transaction. Reports of the
recorder and reconnect windows have transactions of their own. The recorder is told once a transaction is durable.

A recording that fails has no effect on its publication. Without a recorder nothing here does anything.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from stagebook.book.changes import AppendEvent, Change, DeleteStage, RevokeParticipant
from stagebook.book.decision_book import DecisionBook
from stagebook.manager.recordings.interrupted_recordings import changes_of_interrupted
from stagebook.manager.recordings.new_recordings import NewRecordings, place_of
from stagebook.manager.recordings.recording_draft import Command, RecordingDraft
from stagebook.manager.session.pending_resources import PendingResources
from stagebook.media.recording.recording_port import (
    RecordingEnded,
    RecordingEngine,
    RecordingFact,
    RecordingFailed,
    RecordingStarted,
)
from stagebook.stage.clock import Instant, Randomness
from stagebook.stage.errors import ConflictError
from stagebook.stage.events import Cause, EventName, RecordingErrorCode
from stagebook.stage.recording.recording_machine import (
    Recording,
    RecordingPhase,
    RecordingTurn,
    continues,
    take_turn,
    waits,
)
from stagebook.stage.recording.recording_plan import RecordingPlan
from stagebook.stage.session.session_state import Session
from stagebook.storage.object_store import StorageFault

END_SECONDS = 8.0
"""How long a server that ends waits for the recorder. What is not complete then has failed."""

_CODES = {
    None: RecordingErrorCode.VALIDATION,
    StorageFault.BUCKET_NOT_FOUND: RecordingErrorCode.RESOURCE_NOT_FOUND,
    StorageFault.ACCESS_DENIED: RecordingErrorCode.ACCESS_DENIED,
    StorageFault.UNAVAILABLE: RecordingErrorCode.INTERNAL_SERVER,
}
_CURRENT = frozenset((RecordingPhase.RECORDING, RecordingPhase.AWAITING))
_PUBLICATION = frozenset((EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED))
_END_OF_WAITING = (DeleteStage, RevokeParticipant)
_log = structlog.get_logger(__name__)


class RecordingService:
    """Follows the transactions of sessions, and listens to the recorder."""

    def __init__(
        self,
        *,
        engine: RecordingEngine | None,
        book: DecisionBook,
        pending: PendingResources,
        randomness: Randomness,
        now: Callable[[], Instant],
        submit: Callable[[list[Change]], asyncio.Future[None]],
    ) -> None:
        """`submit` submits a transaction of the book and returns a future for its durability."""
        self._engine = engine
        self._book = book
        self._new = NewRecordings(book=book, pending=pending, randomness=randomness)
        self._now = now
        self._submit = submit
        self._running: dict[str, Recording] = {}
        self._of_participant: dict[tuple[str, str], tuple[str, ...]] = {}
        """Their ids by stage ARN and participant id. At most one of a participant records or waits."""
        self._deadlines: dict[str, int] = {}
        """The monotonic times at which the windows of waiting recordings close, by their ids."""
        self._changed = asyncio.Event()
        if engine is not None:
            engine.listen(self.on_fact)

    @property
    def is_enabled(self) -> bool:
        """Whether there is a recorder."""
        return self._engine is not None

    def prepare(self) -> None:
        """Note that a stage records from now on: the recorder is started, so that no publisher waits for it."""
        if self._engine is not None:
            self._engine.prepare()

    @property
    def next_due_ms(self) -> int | None:
        """The monotonic time at which the next reconnect window closes, None without one."""
        return min(self._deadlines.values(), default=None)

    def require_idle(self, stage_arn: str) -> None:
        """Raise ConflictError while a participant of the stage is recorded (API reference, UpdateStage)."""
        for recording in self._running.values():
            if recording.stage_arn == stage_arn and recording.phase is RecordingPhase.RECORDING:
                raise ConflictError(
                    f"participant {recording.participant_id} is being recorded: the recording configuration of the"
                    " stage cannot be changed"
                )

    def require_unused(self, storage_configuration_arn: str) -> None:
        """Raise ConflictError while a recording writes with a storage configuration."""
        for recording in self._running.values():
            if recording.plan.storage_configuration_arn == storage_configuration_arn:
                raise ConflictError(f"a recording of participant {recording.participant_id} uses this configuration")

    def follow(self, sessions: Mapping[str, Session], changes: Sequence[Change], at: Instant) -> RecordingDraft | None:
        """Return what a transaction of sessions changes of the recordings, None for nothing.

        Call `install` once it is submitted.
        """
        if self._engine is None:
            return None
        draft: RecordingDraft | None = None
        for change in changes:
            if type(change) is AppendEvent:
                if change.event.name in _PUBLICATION:
                    draft = draft or RecordingDraft(self._running, at=at)
                    self._publication(draft, sessions[change.stage_arn], change)
            elif isinstance(change, _END_OF_WAITING):
                draft = draft or RecordingDraft(self._running, at=at)
                self._end_waiting(draft, change)
        return draft

    def install(self, draft: RecordingDraft, durable: asyncio.Future[None]) -> None:
        """Keep what a draft has changed, and tell the recorder when it is durable."""
        for recording in draft.changed.values():
            self._install(recording, draft.at)
        if draft.commands:
            durable.add_done_callback(partial(self._run_commands, draft.commands))
        self._changed.set()

    def _install(self, recording: Recording, at: Instant) -> None:
        recording_id, key = recording.recording_id, (recording.stage_arn, recording.participant_id)
        if recording.phase is RecordingPhase.AWAITING:
            due_ms = at.monotonic_ms + recording.plan.window_seconds * 1_000
            self._deadlines.setdefault(recording_id, due_ms)
        else:
            self._deadlines.pop(recording_id, None)
        others = tuple(each for each in self._of_participant.pop(key, ()) if each != recording_id)
        if recording.phase is RecordingPhase.OVER:
            self._running.pop(recording_id, None)
        else:
            self._running[recording_id] = recording
            others = (*others, recording_id)
        if others:
            self._of_participant[key] = others

    def _publication(self, draft: RecordingDraft, session: Session, change: AppendEvent) -> None:
        recording = self._newest_of(draft, change.stage_arn, change.participant_id)
        if change.event.name is EventName.PUBLISH_STARTED:
            self._publish_started(draft, session, change, recording)
        elif recording is not None and recording.session_id == change.session_id:
            turn = RecordingTurn.PAUSED if waits(recording, change.event.cause) else RecordingTurn.STOPPED
            draft.take(take_turn(recording, turn), turn)

    def _newest_of(self, draft: RecordingDraft, stage_arn: str, participant_id: str) -> Recording | None:
        """Return the recording of a participant that records or waits."""
        found = self._all_of(draft, stage_arn, participant_id)
        return next((each for each in found if each.phase in _CURRENT), None)

    def _all_of(self, draft: RecordingDraft, stage_arn: str, participant_id: str) -> list[Recording]:
        """Return the recordings of a participant on a stage, as the draft has them."""
        key = (stage_arn, participant_id)
        known = [draft.find(recording_id) for recording_id in self._of_participant.get(key, ())]
        begun = [
            recording
            for recording in draft.changed.values()
            if recording.recording_id not in self._running and (recording.stage_arn, recording.participant_id) == key
        ]
        return [each for each in (*known, *begun) if each is not None]

    def _publish_started(
        self, draft: RecordingDraft, session: Session, change: AppendEvent, waiting: Recording | None
    ) -> None:
        """Continue a recording that waits, or begin one, as the configuration of the stage says."""
        plan = self._new.plan(change.stage_arn, is_replica=change.event.replica)
        place = place_of(session, change.participant_id)
        if waiting is not None and plan is not None and place is not None and continues(waiting, plan):
            moved = draft.move(waiting, session_id=change.session_id, source_id=place[0], connection_id=place[1])
            draft.take(take_turn(moved, RecordingTurn.RETURNED), RecordingTurn.RETURNED)
            return
        if waiting is not None:
            draft.take(take_turn(waiting, RecordingTurn.STOPPED), RecordingTurn.STOPPED)
        if plan is not None and place is not None:
            self._hide_former(draft, change)
            self._begin(draft, change, plan, place)

    def _hide_former(self, draft: RecordingDraft, change: AppendEvent) -> None:
        """Let the row of a participant no longer show the recordings whose uploads go on."""
        for former in self._all_of(draft, change.stage_arn, change.participant_id):
            if former.session_id == change.session_id:
                draft.hide(former)

    def _begin(
        self, draft: RecordingDraft, change: AppendEvent, plan: RecordingPlan, place: tuple[str, str | None]
    ) -> None:
        recording = self._new.make(change, plan, place, at=draft.at)
        if plan.bucket_name:
            draft.begin(recording)
            return
        # The storage configuration was deleted: there is no bucket to tell the recorder.
        code = RecordingErrorCode.RESOURCE_NOT_FOUND
        step = take_turn(recording, RecordingTurn.FAILED, error_code=code)
        draft.take(step, RecordingTurn.FAILED)

    def _end_waiting(self, draft: RecordingDraft, change: DeleteStage | RevokeParticipant) -> None:
        """End the recordings that wait for publishers who cannot return."""
        only = change.participant_id if isinstance(change, RevokeParticipant) else None
        for recording_id in self._deadlines:
            recording = draft.find(recording_id)
            if recording is None or recording.stage_arn != change.stage_arn:
                continue
            if only in (None, recording.participant_id):
                draft.take(take_turn(recording, RecordingTurn.STOPPED), RecordingTurn.STOPPED)

    async def interrupted(self, account_id: str | None = None) -> list[Change]:
        """Return the changes that end the recordings of a run that did not end them, as the recorder's journals say.

        Those of one account, None for all accounts.

        Those that the recorder does not know have failed, and so have all of a server without a recorder.
        """
        entries = await self._book.read(account_id, lambda reader: reader.list_open_recordings(account_id=account_id))
        outcomes: Mapping[str, RecordingEnded | RecordingFailed] = {}
        if self._engine is not None and entries:
            outcomes = await self._engine.interrupted([entry.recording_id for entry in entries])
        at_ms = self._now().wall_ms
        return [
            change
            for entry in entries
            for change in changes_of_interrupted(entry, outcomes.get(entry.recording_id), at_ms=at_ms)
        ]

    def on_fact(self, fact: RecordingFact) -> "asyncio.Future[None] | None":
        """Take a report of the recorder, as FactListener. One of a recording that does not run is ignored."""
        match fact:
            case RecordingStarted():
                return self._apply(fact.recording_id, RecordingTurn.STARTED)
            case RecordingEnded():
                return self._apply(fact.recording_id, RecordingTurn.COMPLETED, duration_ms=fact.duration_ms)
            case RecordingFailed():
                code, duration_ms = _CODES[fact.fault], fact.duration_ms
                return self._apply(fact.recording_id, RecordingTurn.FAILED, duration_ms=duration_ms, error_code=code)

    def tick(self) -> None:
        """Close the reconnect windows that are over."""
        now_ms = self._now().monotonic_ms
        for recording_id in [each for each, due_ms in self._deadlines.items() if due_ms <= now_ms]:
            self._apply(recording_id, RecordingTurn.STOPPED)

    def _apply(
        self,
        recording_id: str,
        turn: RecordingTurn,
        **details: Any,  # noqa: ANN401 - of take_turn
    ) -> "asyncio.Future[None] | None":
        """Take a turn; return a future for its durability, None if it changes nothing."""
        recording = self._running.get(recording_id)
        step = None if recording is None else take_turn(recording, turn, **details)
        if step is None:
            return None
        draft = RecordingDraft(self._running, at=self._now())
        draft.take(step, turn)
        durable = self._submit(draft.changes)
        self.install(draft, durable)
        return durable

    def _run_commands(self, commands: Sequence[tuple[str, Command]], durable: asyncio.Future[None]) -> None:
        if self._engine is None or durable.exception() is not None:
            return
        for recording_id, command in commands:
            try:
                command(self._engine)
            except Exception:  # noqa: BLE001 - whatever a recorder does, publications go on
                _log.exception("the recorder failed", recording_id=recording_id)
                failed = RecordingFailed(recording_id=recording_id, fault=StorageFault.UNAVAILABLE, duration_ms=0)
                asyncio.get_running_loop().call_soon(self.on_fact, failed)

    async def shutdown(self, *, timeout_seconds: float = END_SECONDS) -> None:
        """End all recordings; return when their outcomes are durable. Those without one in time have failed."""
        for recording_id in list(self._deadlines):
            self._apply(recording_id, RecordingTurn.STOPPED)
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._running:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            _log.warning("recordings were not complete at the end of the server", number=len(self._running))
        for recording_id in list(self._running):
            self._apply(recording_id, RecordingTurn.FAILED, cause=Cause.SHUTDOWN)
