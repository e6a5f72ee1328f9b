"""One recording of one participant, as a state machine.

    RECORDING --PAUSED--> AWAITING --RETURNED--> RECORDING
    RECORDING, AWAITING --STOPPED--> STOPPING
    RECORDING, AWAITING, STOPPING --COMPLETED or FAILED--> OVER

The recording begins when its participant publishes. When the participant stops, it is PAUSED if the configuration has a
reconnect window and the participant can return, else STOPPED. The recorder reports STARTED when the first media is
stored, at most once in any phase before OVER, and one outcome: COMPLETED after the uploads, or FAILED.

    STARTED    RECORDING_STARTED
    COMPLETED  RECORDING_ENDED, if it has started. Else nothing was recorded and there is no event.
    FAILED     RECORDING_END_FAILED if it has started, else RECORDING_START_FAILED

So a recording has one outcome, and it follows its start. A turn that is not in the table changes nothing: reports of a
recorder can come late or twice.

A recording outlives its participant's presence, its session and its stage. So it is not a part of a session: what ties
it to the session are the events PUBLISH_STARTED and PUBLISH_STOPPED (`manager/recordings`).

Source: user guide, "Individual Participant Recording" and "Using Amazon EventBridge with IVS Real-Time Streaming".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from stagebook.stage.arns import parse_arn
from stagebook.stage.events import Cause, Event, EventName, RecordingDetails, RecordingErrorCode
from stagebook.stage.recording.recording_plan import RecordingPlan
from stagebook.stage.resources import RecordingState
from stagebook.stage.session.replication_phase import FINAL_CAUSES


class RecordingPhase(StrEnum):
    """The phase of a recording."""

    RECORDING = "recording"
    AWAITING = "awaiting"
    STOPPING = "stopping"
    OVER = "over"


class RecordingTurn(StrEnum):
    """What moves a recording to another phase."""

    STARTED = "started"
    PAUSED = "paused"
    RETURNED = "returned"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"


_RECORDING, _AWAITING, _STOPPING, _OVER = RecordingPhase
RECORDING_PHASES: Mapping[tuple[RecordingPhase, RecordingTurn], RecordingPhase] = {
    (_RECORDING, RecordingTurn.STARTED): _RECORDING,
    (_RECORDING, RecordingTurn.PAUSED): _AWAITING,
    (_RECORDING, RecordingTurn.STOPPED): _STOPPING,
    (_RECORDING, RecordingTurn.COMPLETED): _OVER,
    (_RECORDING, RecordingTurn.FAILED): _OVER,
    (_AWAITING, RecordingTurn.STARTED): _AWAITING,
    (_AWAITING, RecordingTurn.RETURNED): _RECORDING,
    (_AWAITING, RecordingTurn.STOPPED): _STOPPING,
    (_AWAITING, RecordingTurn.COMPLETED): _OVER,
    (_AWAITING, RecordingTurn.FAILED): _OVER,
    (_STOPPING, RecordingTurn.STARTED): _STOPPING,
    (_STOPPING, RecordingTurn.COMPLETED): _OVER,
    (_STOPPING, RecordingTurn.FAILED): _OVER,
}
"""Each legal turn. Nothing leads out of OVER: a later publication has another recording."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One recording. The session and the source are those of its newest part, `prefix` is that of its first one."""

    recording_id: str
    stage_arn: str
    session_id: str
    participant_id: str
    source_id: str
    connection_id: str | None = None
    """The stream of a redundant source to record; None for what viewers see."""
    plan: RecordingPlan
    prefix: str
    started_ms: int
    phase: RecordingPhase = _RECORDING
    is_started: bool = False
    is_failed: bool = False
    is_shown: bool = True
    """Whether the row of its participant shows it; false if there is a newer one."""

    @property
    def state(self) -> RecordingState:
        """Shape ParticipantRecordingState. While a publisher is awaited it is what it was before."""
        if self.phase is _OVER:
            return RecordingState.FAILED if self.is_failed else RecordingState.STOPPED
        if self.phase is _STOPPING:
            return RecordingState.STOPPING
        return RecordingState.ACTIVE if self.is_started else RecordingState.STARTING


class RecordingStep(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn made: the recording afterwards, and the events."""

    recording: Recording
    events: tuple[Event, ...] = ()


def take_turn(
    recording: Recording,
    turn: RecordingTurn,
    *,
    duration_ms: int | None = None,
    error_code: RecordingErrorCode | None = None,
    cause: Cause | None = None,
) -> RecordingStep | None:
    """Return the recording after a turn and its events; None if the turn changes nothing.

    `duration_ms` belongs to the two outcomes, `error_code` to FAILED.
    """
    phase = RECORDING_PHASES.get((recording.phase, turn))
    if phase is None or (turn is RecordingTurn.STARTED and recording.is_started):
        return None
    is_started = recording.is_started or turn is RecordingTurn.STARTED
    is_failed = turn is RecordingTurn.FAILED
    after = replace(recording, phase=phase, is_started=is_started, is_failed=is_failed)
    name = _event_name(turn, is_started=recording.is_started)
    if name is None:
        return RecordingStep(recording=after)
    details = RecordingDetails(
        bucket_name=recording.plan.bucket_name,
        prefix=recording.prefix,
        duration_ms=duration_ms if name in _ENDS else None,
        error_code=_code(error_code, has_started=recording.is_started) if is_failed else None,
    )
    return RecordingStep(recording=after, events=(Event(name=name, recording=details, cause=cause),))


_ENDS = frozenset((EventName.RECORDING_ENDED, EventName.RECORDING_END_FAILED))


def _event_name(turn: RecordingTurn, *, is_started: bool) -> EventName | None:
    match turn:
        case RecordingTurn.STARTED:
            return EventName.RECORDING_STARTED
        case RecordingTurn.COMPLETED:
            return EventName.RECORDING_ENDED if is_started else None
        case RecordingTurn.FAILED:
            return EventName.RECORDING_END_FAILED if is_started else EventName.RECORDING_START_FAILED
        case _:
            return None


def _code(error_code: RecordingErrorCode | None, *, has_started: bool) -> RecordingErrorCode:
    """Return the code of a failure. VALIDATION, an unsupported codec, is documented for the start only."""
    if error_code is None or (has_started and error_code is RecordingErrorCode.VALIDATION):
        return RecordingErrorCode.INTERNAL_SERVER
    return error_code


def waits(recording: Recording, cause: Cause | None) -> bool:
    """Return whether a recording waits for its publisher, who stopped for this cause."""
    return recording.plan.window_seconds > 0 and cause not in FINAL_CAUSES


def continues(recording: Recording, plan: RecordingPlan) -> bool:
    """Return whether a publisher that is back continues a recording: with the same storage, within its window."""
    return (
        recording.phase is _AWAITING
        and recording.plan.storage_configuration_arn == plan.storage_configuration_arn
        and plan.window_seconds > 0
    )


def prefix_of(*, stage_arn: str, session_id: str, participant_id: str, start_seconds: int) -> str:
    """Return the key prefix of a recording that starts at this Unix time in seconds."""
    start = datetime.fromtimestamp(start_seconds, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    return f"{parse_arn(stage_arn).resource_id}/{session_id}/{participant_id}/{start}"
