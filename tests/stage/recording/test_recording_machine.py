"""The machine of one recording: every turn in every phase, and what holds after any turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stagebook.stage.events import Cause, EventName, RecordingErrorCode
from stagebook.stage.recording.recording_machine import (
    RECORDING_PHASES,
    Recording,
    RecordingPhase,
    RecordingTurn,
    continues,
    prefix_of,
    take_turn,
    waits,
)
from stagebook.stage.recording.recording_plan import RecordingPlan
from stagebook.stage.resources import RecordingState

STORAGE = "arn:aws:ivs:us-west-2:123456789012:storage-configuration/abcdABCDefgh"
RECORDING = Recording(
    recording_id="r",
    stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    session_id="st-a1b2c3d4e5f6g",
    participant_id="p",
    source_id="source",
    plan=RecordingPlan(storage_configuration_arn=STORAGE, bucket_name="bucket", window_seconds=30),
    prefix="abcdABCDefgh/st-a1b2c3d4e5f6g/p/2024-01-01T12-00-55Z",
    started_ms=1,
)
OUTCOMES = {EventName.RECORDING_ENDED, EventName.RECORDING_START_FAILED, EventName.RECORDING_END_FAILED}


def after(*turns: RecordingTurn) -> tuple[Recording, list[EventName]]:
    """Return a recording after turns, of which some change nothing, and the names of its events."""
    recording, names = RECORDING, []
    for turn in turns:
        step = take_turn(recording, turn, duration_ms=5, error_code=RecordingErrorCode.ACCESS_DENIED)
        if step is not None:
            recording = step.recording
            names += [event.name for event in step.events]
    return recording, names


@given(st.lists(st.sampled_from(RecordingTurn)))
def test_a_recording_has_at_most_one_outcome_and_it_follows_the_start(turns: list[RecordingTurn]) -> None:
    recording, names = after(*turns)
    assert names.count(EventName.RECORDING_STARTED) == int(recording.is_started)
    outcomes = [name for name in names if name in OUTCOMES]
    assert len(outcomes) <= 1
    if outcomes:
        assert recording.phase is RecordingPhase.OVER
        assert names[-1] is outcomes[0]
        assert recording.is_started is (outcomes[0] is not EventName.RECORDING_START_FAILED)
        expected = RecordingState.STOPPED if outcomes[0] is EventName.RECORDING_ENDED else RecordingState.FAILED
        assert recording.state is expected


@given(st.lists(st.sampled_from(RecordingTurn)))
def test_nothing_leads_out_of_the_end(turns: list[RecordingTurn]) -> None:
    recording, _ = after(*turns)
    ended = after(*turns, RecordingTurn.FAILED)[0]
    assert ended.phase is RecordingPhase.OVER
    assert all(take_turn(ended, turn) is None for turn in RecordingTurn)
    if recording.phase is not RecordingPhase.OVER:
        assert recording.state in {RecordingState.STARTING, RecordingState.ACTIVE, RecordingState.STOPPING}


@pytest.mark.parametrize("phase", RecordingPhase)
@pytest.mark.parametrize("turn", RecordingTurn)
def test_a_turn_that_is_not_in_the_table_changes_nothing(phase: RecordingPhase, turn: RecordingTurn) -> None:
    step = take_turn(replace(RECORDING, phase=phase), turn)
    assert (step is None) == ((phase, turn) not in RECORDING_PHASES)


S, P, R, E, C, F = RecordingTurn


@pytest.mark.parametrize(
    ("turns", "state"),
    [
        ((), "STARTING"),
        ((S,), "ACTIVE"),
        ((S, P), "ACTIVE"),
        ((P,), "STARTING"),
        ((P, S), "ACTIVE"),
        ((S, P, R), "ACTIVE"),
        ((S, E), "STOPPING"),
        ((E,), "STOPPING"),
        ((S, E, C), "STOPPED"),
        ((E, C), "STOPPED"),
        ((F,), "FAILED"),
        ((S, P, F), "FAILED"),
    ],
)
def test_the_state_that_is_shown(turns: tuple[RecordingTurn, ...], state: str) -> None:
    assert after(*turns)[0].state.value == state


def test_a_recording_of_nothing_has_no_events() -> None:
    assert after(E, C)[1] == []


def test_the_details_of_an_outcome() -> None:
    started = replace(RECORDING, is_started=True)
    ended = take_turn(started, C, duration_ms=547_327)
    assert ended is not None
    (event,) = ended.events
    assert event.recording is not None
    assert (event.recording.bucket_name, event.recording.prefix) == ("bucket", RECORDING.prefix)
    assert (event.recording.duration_ms, event.recording.error_code) == (547_327, None)


@pytest.mark.parametrize(
    ("is_started", "code", "shown"),
    [
        (False, RecordingErrorCode.VALIDATION, "Video codec not supported for recording"),
        (True, RecordingErrorCode.VALIDATION, "Service internal error"),
        (True, RecordingErrorCode.RESOURCE_NOT_FOUND, "S3 bucket not found. Please verify your bucket exists."),
        (False, None, "Service internal error"),
    ],
)
def test_the_reason_of_a_failure(is_started: bool, code: RecordingErrorCode | None, shown: str) -> None:  # noqa: FBT001
    step = take_turn(replace(RECORDING, is_started=is_started), F, duration_ms=7, error_code=code)
    assert step is not None
    details = step.events[0].recording
    assert details is not None
    assert details.reason == shown
    assert details.duration_ms == (7 if is_started else None)


@pytest.mark.parametrize(
    ("cause", "window_seconds", "expected"),
    [
        (Cause.CLIENT, 30, True),
        (Cause.PEER_LOST, 30, True),
        (Cause.CLIENT, 0, False),
        (Cause.DISCONNECTED_BY_API, 30, False),
        (Cause.STAGE_DELETED, 30, False),
        (Cause.SHUTDOWN, 30, False),
    ],
)
def test_which_recordings_wait(cause: Cause, window_seconds: int, expected: bool) -> None:  # noqa: FBT001
    plan = replace(RECORDING.plan, window_seconds=window_seconds)
    assert waits(replace(RECORDING, plan=plan), cause) is expected


def test_only_the_same_storage_within_the_window_continues_a_recording() -> None:
    waiting = replace(RECORDING, phase=RecordingPhase.AWAITING)
    assert continues(waiting, RECORDING.plan)
    assert not continues(RECORDING, RECORDING.plan)
    assert not continues(waiting, replace(RECORDING.plan, storage_configuration_arn=STORAGE + "2"))
    assert not continues(waiting, replace(RECORDING.plan, window_seconds=0))


def test_the_prefix_is_the_documented_one() -> None:
    assert (
        prefix_of(
            stage_arn=RECORDING.stage_arn,
            session_id=RECORDING.session_id,
            participant_id="p",
            start_seconds=1_704_110_455,
        )
        == "abcdABCDefgh/st-a1b2c3d4e5f6g/p/2024-01-01T12-00-55Z"
    )
