"""The rules of recordings, checked from outside as those of `oracle.py`."""

from stagebook.book.store import BookReader
from stagebook.stage.events import EventName, RecordingErrorCode
from stagebook.stage.resources import RecordingState
from tests.manager.simulation.oracle import History, histories

OUTCOMES = {EventName.RECORDING_ENDED, EventName.RECORDING_START_FAILED, EventName.RECORDING_END_FAILED}
OPEN_STATES = {RecordingState.STARTING, RecordingState.ACTIVE, RecordingState.STOPPING}


def check_recordings(book: BookReader, stage_arns: list[str], windows: dict[str, int]) -> None:
    """Check what holds at every moment. `windows` are the reconnect windows in seconds, by stage ARN."""
    everything = histories(book, stage_arns)
    _check_order(everything)
    for history in everything:
        _check_publication(history, windows.get(history.session.stage_arn, 0))
    shown = {
        (history.session.stage_arn, history.session.session_id, history.record.participant_id)
        for history in everything
        if history.record.recording_state in OPEN_STATES
    }
    noted = {
        (each.stage_arn, each.session_id, each.participant_id) for each in book.list_open_recordings() if each.is_shown
    }
    readable = {(history.session.stage_arn, history.session.session_id) for history in everything}
    assert shown == {each for each in noted if each[:2] in readable}, "a row says what no recording is"


def _check_order(everything: list[History]) -> None:
    """Each recording starts at most once and has at most one outcome, which follows the start."""
    events = sorted((each for history in everything for each in history.recordings), key=lambda each: each.sequence)
    started: set[str] = set()
    over: set[str] = set()
    for entry in events:
        name, details = entry.event.name, entry.event.recording
        assert details is not None
        assert details.prefix not in over, "an event of a recording that is over"
        if name is EventName.RECORDING_STARTED:
            assert details.prefix not in started, "a recording started twice"
            started.add(details.prefix)
        else:
            assert name in OUTCOMES
            assert (details.prefix in started) == (name is not EventName.RECORDING_START_FAILED)
            over.add(details.prefix)
            if name is EventName.RECORDING_END_FAILED:
                assert details.error_code is not RecordingErrorCode.VALIDATION


def _check_publication(history: History, window_seconds: int) -> None:
    """Without a window, a participant is recorded only while it publishes; nobody is who never published."""
    record, names = history.record, history.names
    if record.recording_state is not RecordingState.DISABLED:
        assert record.published
        assert record.recording_bucket_name == "bucket"
        assert record.recording_prefix.split("/")[2] == record.participant_id
    publishes = names.count(EventName.PUBLISH_STARTED) > names.count(EventName.PUBLISH_STOPPED)
    if record.recording_state in {RecordingState.STARTING, RecordingState.ACTIVE} and not window_seconds:
        assert publishes, "a participant is recorded that does not publish"


def check_recordings_over(book: BookReader, stage_arns: list[str]) -> None:
    """Check what holds once everything is closed: no row says that it is recorded, and each start has an outcome."""
    assert book.list_open_recordings() == []
    started: set[str] = set()
    over: set[str] = set()
    for history in histories(book, stage_arns):
        assert history.record.recording_state not in OPEN_STATES, "a row says that its participant is recorded"
        for entry in history.recordings:
            assert entry.event.recording is not None
            (over if entry.event.name in OUTCOMES else started).add(entry.event.recording.prefix)
    assert started <= over, "a recording without an outcome"
