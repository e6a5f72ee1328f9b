"""The recordings of one participant of one session: their events, and what its row shows of the newest one.

A recording is identified by its prefix, `<stage id>/<session id>/<participant id>/<start>`. One that a returning
publisher continues in a later session has its start in the session that the prefix names and its end in the later one.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from stagebook.audit import book_rules
from stagebook.audit.book_rules import BookRule
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantRecord, RecordingState

_OUTCOMES = {
    EventName.RECORDING_ENDED: RecordingState.STOPPED,
    EventName.RECORDING_START_FAILED: RecordingState.FAILED,
    EventName.RECORDING_END_FAILED: RecordingState.FAILED,
}
OPEN_STATES = frozenset((RecordingState.STARTING, RecordingState.ACTIVE, RecordingState.STOPPING))


class RecordingAudit:
    """The audit of the recordings of one participant."""

    __slots__ = ("_bucket", "_outcomes", "_prefix", "_session_id", "_started")

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._started: set[str] = set()
        self._outcomes: dict[str, RecordingState] = {}
        self._bucket = self._prefix = ""

    def step(self, event: Event) -> Iterator[tuple[BookRule, str]]:
        """Take the next event of a recording; yield what is wrong with it."""
        if event.recording is None:
            return
        name, prefix = event.name, event.recording.prefix
        self._bucket, self._prefix = event.recording.bucket_name, prefix
        if prefix in self._outcomes:
            yield book_rules.RECORDINGS, f"{name} of {prefix}, which is over"
        if name is EventName.RECORDING_STARTED:
            if prefix in self._started:
                yield book_rules.RECORDINGS, f"{name} of {prefix}, which has started already"
            self._started.add(prefix)
            return
        has_started = prefix in self._started
        if name is EventName.RECORDING_START_FAILED:
            if has_started:
                yield book_rules.RECORDINGS, f"{name} of {prefix}, which has started"
        elif not has_started and self._session_id in prefix.split("/"):
            yield book_rules.RECORDINGS, f"{name} of {prefix}, which has not started"
        self._outcomes[prefix] = _OUTCOMES[name]

    def applied_to(self, record: ParticipantRecord) -> ParticipantRecord:
        """Return a row with what the events say of the newest recording. One without an outcome here counts as stopped:
        it went on in another session, or its outcome is not known."""
        if not self._prefix:
            return record
        return replace(
            record,
            recording_state=self._outcomes.get(self._prefix, RecordingState.STOPPED),
            recording_bucket_name=self._bucket,
            recording_prefix=self._prefix,
        )

    def row_faults(self, row: ParticipantRecord, *, is_open: bool) -> Iterator[tuple[BookRule, str]]:
        """Yield where the row differs from the events. `is_open`: table `open_recording` has the recording."""
        state, prefix = row.recording_state, row.recording_prefix
        if (state in OPEN_STATES) is not is_open:
            yield book_rules.OPEN_RECORDINGS, f"recordingState is {state}, the table {'has' if is_open else 'lacks'} it"
        outcome, has_started = self._outcomes.get(prefix), prefix in self._started
        if state is RecordingState.DISABLED:
            is_fitting = not self._started and not self._outcomes
        elif state is RecordingState.STOPPED:
            is_fitting = outcome is RecordingState.STOPPED or outcome is None
        elif state is RecordingState.FAILED:
            is_fitting = outcome is RecordingState.FAILED
        else:
            is_fitting = outcome is None and not (state is RecordingState.STARTING and has_started)
        if not is_fitting:
            yield book_rules.ROW, f"recordingState is {state} of {prefix!r}, its events say otherwise"
