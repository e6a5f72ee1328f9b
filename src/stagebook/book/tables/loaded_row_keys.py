"""The cache of row keys that reads nothing, for a store that is a round trip away.

It has the keys of whole accounts, which are loaded before an account is served. Of an open session it has the numbers
of the participants that the manager refers to: those that were new, or whose rows were fetched (`add_number`), until
the manager has forgotten them (`forget_participant`). A recording can outlast its participant and its session, so an
open recording keeps the keys of both.
"""

from collections import OrderedDict

from stagebook.book.changes import PutRecording
from stagebook.book.tables.account_keys import AccountKeys, SessionPlace
from stagebook.book.tables.key_sequence import KeySequence
from stagebook.book.tables.row_keys import RowKeys, SessionKeys, StageKeys, Undo
from stagebook.stage.resources import RecordingState

MAXIMUM_ENDED_COMPOSITIONS = 10_000
"""How many compositions that have ended are cached. The tags of one can be changed while it is shown, five minutes."""

_OPEN = frozenset((RecordingState.STARTING, RecordingState.ACTIVE, RecordingState.STOPPING))


class _RecordedSession:
    """An open recording: the participant of a session whose keys it needs."""

    __slots__ = ("participant_id", "session", "stage_arn")

    def __init__(self, stage_arn: str, session: SessionKeys, participant_id: str) -> None:
        self.stage_arn = stage_arn
        self.session = session
        self.participant_id = participant_id


class LoadedRowKeys(RowKeys):
    """The keys of the accounts that were added. A change that refers to something else is refused."""

    def __init__(self, *, stage_keys: KeySequence, session_keys: KeySequence, composition_keys: KeySequence) -> None:
        super().__init__(stage_keys=stage_keys, session_keys=session_keys, composition_keys=composition_keys)
        self._recordings: dict[str, _RecordedSession] = {}
        """The open recordings by id."""
        self._ended_compositions: OrderedDict[str, None] = OrderedDict()

    def add_account(self, account: AccountKeys) -> None:
        """Add an account whose changes will be submitted from now on."""
        for arn, stage_key in account.stages.items():
            self._stages[arn] = StageKeys(stage_key=stage_key, deleted=False, open_session=None)
        self.stage_count += len(account.stages)
        for opened in account.sessions:
            session = self._session_at(opened.place)
            session.last_number, session.numbers = opened.last_number, dict(opened.numbers)
            stage = self._stages[opened.place.stage_arn]
            stage.open_session = stage.ended.pop(session.session_id)
        for each in account.recordings:
            session = self._session_at(each.place)
            session.numbers[each.participant_id] = each.number
            self._recordings[each.recording_id] = _RecordedSession(each.place.stage_arn, session, each.participant_id)
            _count_recording(session, each.participant_id, 1)
        self._compositions.update(account.compositions)

    def _session_at(self, place: SessionPlace) -> SessionKeys:
        """Return the session at a place, added as an ended one if it is unknown."""
        stage = self._stages.setdefault(
            place.stage_arn, StageKeys(stage_key=place.stage_key, deleted=place.is_deleted, open_session=None)
        )
        if stage.open_session is not None and stage.open_session.session_key == place.session_key:
            return stage.open_session
        return stage.ended.setdefault(
            place.session_id,
            SessionKeys(
                session_id=place.session_id, session_key=place.session_key, start_ms=place.start_ms, numbers={}
            ),
        )

    def add_number(self, stage_arn: str, session_id: str, participant_id: str, number: int) -> None:
        """Add the number of a participant that was in an open session before, from its row in the store."""
        stage = self._stages.get(stage_arn)
        session = None if stage is None else stage.open_session
        if session is not None and session.session_id == session_id:
            session.numbers.setdefault(participant_id, number)
            session.left.pop(participant_id, None)

    def forget_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """Drop the number of a participant whose rows are durable, and that no change will put before `add_number`."""
        stage = self._stages.get(stage_arn)
        session = None if stage is None else stage.open_session
        if session is None or session.session_id != session_id:
            return
        if participant_id in session.recorded:
            session.left[participant_id] = self.submitted
        else:
            session.numbers.pop(participant_id, None)

    def note_connected(self, session: SessionKeys, participant_id: str, *, is_connected: bool) -> None:
        """Do nothing: the manager says which participants it has forgotten."""

    def note_recording(self, stage_arn: str, session: SessionKeys, change: PutRecording, undo: Undo) -> None:
        """Keep the keys of an open recording, until the transaction that closes it is durable."""
        recording_id, participant_id = change.recording_id, change.participant_id
        former = self._recordings.pop(recording_id, None)
        if former is not None:
            kept = former
            undo.append(lambda: self._recordings.update({recording_id: kept}))
            self._dropping.append((self.submitted, lambda: self._drop_recording(kept)))
            undo.append(self._dropping.pop)
        if change.state in _OPEN:
            self._recordings[recording_id] = _RecordedSession(stage_arn, session, participant_id)
            undo.append(lambda: self._recordings.pop(recording_id))
            _count_recording(session, participant_id, 1)
            undo.append(lambda: _count_recording(session, participant_id, -1))

    def _drop_recording(self, recording: _RecordedSession) -> None:
        session, participant_id = recording.session, recording.participant_id
        _count_recording(session, participant_id, -1)
        if participant_id not in session.recorded and session.left.pop(participant_id, None) is not None:
            session.numbers.pop(participant_id, None)
        stage = self._stages.get(recording.stage_arn)
        if stage is not None and session.session_id in stage.ended:
            self._drop_ended(recording.stage_arn, stage, session)

    def _drop_ended(self, stage_arn: str, stage: StageKeys, session: SessionKeys) -> None:
        """Drop an ended session, unless one of its recordings is open."""
        if session.recorded:
            session.numbers = {each: session.numbers[each] for each in session.recorded}
            return
        stage.ended.pop(session.session_id, None)
        self._drop_deleted(stage_arn, stage)

    def delete_stage(self, stage_arn: str, undo: Undo) -> StageKeys:
        """As `RowKeys.delete_stage`. The stage is dropped when that is durable and no recording of it is open."""
        stage = super().delete_stage(stage_arn, undo)
        self._dropping.append((self.submitted, lambda: self._drop_deleted(stage_arn, stage)))
        undo.append(self._dropping.pop)
        return stage

    def _drop_deleted(self, stage_arn: str, stage: StageKeys) -> None:
        if stage.deleted and not stage.ended and stage.open_session is None:
            self._stages.pop(stage_arn, None)

    def note_composition_ended(self, arn: str, undo: Undo) -> None:
        """Keep the key of a composition that has ended, until many others have ended."""
        self._dropping.append((self.submitted, lambda: self._keep_ended_composition(arn)))
        undo.append(self._dropping.pop)

    def _keep_ended_composition(self, arn: str) -> None:
        self._ended_compositions[arn] = None
        if len(self._ended_compositions) > MAXIMUM_ENDED_COMPOSITIONS:
            oldest, _ = self._ended_compositions.popitem(last=False)
            self._compositions.pop(oldest, None)

    def _look_up_session(self, stage: StageKeys, session_id: str) -> int | None:
        ended = stage.ended.get(session_id)
        return None if ended is None else ended.session_key


def _count_recording(session: SessionKeys, participant_id: str, change: int) -> None:
    count = session.recorded.get(participant_id, 0) + change
    if count:
        session.recorded[participant_id] = count
    else:
        session.recorded.pop(participant_id, None)
