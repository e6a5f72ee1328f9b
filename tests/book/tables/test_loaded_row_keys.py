"""The cache of row keys that reads nothing: what it keeps, what it drops, and what it refuses."""

from collections.abc import Sequence

import pytest

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.changes import Change, DeleteStage, PutRecording
from stagebook.book.tables import loaded_row_keys
from stagebook.book.tables.account_keys import AccountKeys, OpenSessionKeys, RecordingKeys, SessionPlace
from stagebook.book.tables.change_rows import ChangeTranslator
from stagebook.book.tables.key_sequence import FollowingKeys
from stagebook.book.tables.loaded_row_keys import LoadedRowKeys
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState, RecordingState
from tests.book.sample import (
    ACCOUNT,
    ARN,
    COMPOSITION_ARN,
    NOON_MS,
    OTHER_ARN,
    SEAL,
    SESSION,
    append,
    append_composition,
    composition,
    end_session,
    open_session,
    put,
    put_composition,
    put_stage,
)

HERE = SessionPlace(ARN, 7, False, SESSION, 9, NOON_MS)  # noqa: FBT003 - in the order of the columns
ENDED = SessionPlace(ARN, 7, False, "st-ended", 8, NOON_MS)  # noqa: FBT003
ACCOUNT_KEYS = AccountKeys(
    account_id=ACCOUNT,
    stages={ARN: 7},
    sessions=(OpenSessionKeys(place=HERE, last_number=3, numbers={"p": 1}),),
    recordings=(RecordingKeys(recording_id="old", place=ENDED, participant_id="q", number=5),),
    compositions={COMPOSITION_ARN: 4},
)


class Written:
    """A translator over loaded keys; `durable` makes everything so far durable."""

    def __init__(self, account: AccountKeys = ACCOUNT_KEYS) -> None:
        self.keys = LoadedRowKeys(
            stage_keys=FollowingKeys(100), session_keys=FollowingKeys(200), composition_keys=FollowingKeys(300)
        )
        self.keys.add_account(account)
        self.translator = ChangeTranslator(self.keys, seal=SEAL, last_sequence=0)

    def submit(self, *changes: Change) -> Sequence[str]:
        """Return the rows of a transaction."""
        return [row for _, row in self.translator.translate(changes)[1]]

    def durable(self) -> None:
        self.keys.note_durable(self.keys.submitted)

    def sizes(self) -> tuple[int, ...]:
        """How much is cached: stages, sessions, numbers, recordings and compositions."""
        stages = self.keys._stages.values()
        sessions = [each for stage in stages for each in (stage.open_session, *stage.ended.values()) if each]
        numbers = sum(len(session.numbers) for session in sessions)
        return len(stages), len(sessions), numbers, len(self.keys._recordings), len(self.keys._compositions)


def recording(state: RecordingState, *, session_id: str = SESSION, participant_id: str = "p") -> PutRecording:
    return PutRecording(
        stage_arn=ARN,
        session_id=session_id,
        participant_id=participant_id,
        recording_id="recording",
        state=state,
        bucket_name="bucket",
        prefix="a/b",
    )


def left(participant_id: str) -> ParticipantRecord:
    return ParticipantRecord(participant_id=participant_id, state=ParticipantState.DISCONNECTED)


def test_an_account_that_was_added_can_be_changed() -> None:
    written = Written()
    assert written.submit(put("p"), put("new")) == [
        '[9,1,"p","",1,false,null,null]',
        '[9,4,"new","",1,false,null,null]',
    ]
    assert written.submit(put_stage(OTHER_ARN), open_session(arn=OTHER_ARN))[1].startswith("[201,101,")
    assert written.keys.stage_count == 2


def test_what_was_not_added_is_refused() -> None:
    written = Written()
    for change in (
        append("r"),
        open_session(arn=OTHER_ARN),
        recording(RecordingState.ACTIVE, session_id="st-other"),
        append_composition(arn=f"{COMPOSITION_ARN}2"),
    ):
        with pytest.raises(ChangeRefusedError):
            written.submit(change)


def test_a_participant_keeps_its_number_until_the_manager_forgets_it() -> None:
    written = Written()
    written.submit(put(left("p")))
    written.durable()
    assert written.submit(put(left("p")))[0].startswith("[9,1,")
    written.keys.forget_participant(ARN, SESSION, "p")
    with pytest.raises(ChangeRefusedError, match="is not in session"):
        written.submit(append("p"))
    written.keys.add_number(ARN, SESSION, "p", 1)
    written.keys.add_number(ARN, "st-other", "p", 9)
    assert written.submit(put("p"))[0].startswith("[9,1,")


def test_a_recording_outlasts_its_participant_and_its_session() -> None:
    written = Written()
    written.submit(recording(RecordingState.ACTIVE), put("new"))
    written.keys.forget_participant(ARN, SESSION, "p")
    written.submit(recording(RecordingState.STOPPING))
    written.submit(end_session())
    written.durable()
    assert written.sizes() == (1, 2, 2, 2, 1)
    rows = written.submit(recording(RecordingState.STOPPED), append("p", EventName.RECORDING_ENDED))
    assert [row[:4] for row in rows] == ["[9,1", "[9,1"]
    written.durable()
    assert written.sizes() == (1, 1, 1, 1, 1)


def test_the_number_of_a_forgotten_participant_is_dropped_with_its_recording() -> None:
    written = Written()
    written.submit(recording(RecordingState.ACTIVE))
    written.keys.forget_participant(ARN, SESSION, "p")
    written.submit(recording(RecordingState.FAILED))
    assert written.keys.open_session(ARN, SESSION).numbers == {"p": 1}
    written.durable()
    assert written.keys.open_session(ARN, SESSION).numbers == {}


def test_a_participant_that_is_back_keeps_its_number_after_its_recording() -> None:
    written = Written()
    written.submit(recording(RecordingState.ACTIVE))
    written.keys.forget_participant(ARN, SESSION, "p")
    written.keys.add_number(ARN, SESSION, "p", 1)
    written.submit(recording(RecordingState.FAILED))
    written.durable()
    assert written.keys.open_session(ARN, SESSION).numbers == {"p": 1}


def test_a_recording_that_goes_on_in_another_session_needs_that_one() -> None:
    written = Written()
    written.submit(recording(RecordingState.ACTIVE))
    written.submit(end_session(), open_session("st-next"), put("p", session_id="st-next"))
    written.submit(recording(RecordingState.STOPPED), recording(RecordingState.ACTIVE, session_id="st-next"))
    written.durable()
    assert [*written.keys.stage(ARN).ended] == ["st-ended"]
    written.submit(recording(RecordingState.STOPPED, session_id="st-next"))
    written.durable()
    assert written.keys.open_session(ARN, "st-next").recorded == {}


def test_a_refused_transaction_changes_nothing() -> None:
    written = Written()
    written.submit(recording(RecordingState.ACTIVE))
    before = written.sizes()
    for state in (RecordingState.STOPPED, RecordingState.STOPPING):
        with pytest.raises(ChangeRefusedError):
            written.submit(
                recording(state),
                put_composition(f"{COMPOSITION_ARN}2"),
                end_session(),
                DeleteStage(stage_arn=ARN, at_ms=0),
                append("unknown"),
            )
    written.durable()
    assert written.sizes() == before
    assert written.keys.open_session(ARN, SESSION).recorded == {"p": 1}
    assert not written.keys._dropping
    assert written.submit(put_composition(f"{COMPOSITION_ARN}2"))[0].startswith("[301,")


def test_a_deleted_stage_is_dropped_with_its_last_recording() -> None:
    written = Written()
    written.submit(end_session(), DeleteStage(stage_arn=ARN, at_ms=0))
    written.durable()
    assert written.sizes() == (1, 1, 1, 1, 1)
    old = PutRecording(
        stage_arn=ARN,
        session_id="st-ended",
        participant_id="q",
        recording_id="old",
        state=RecordingState.FAILED,
        bucket_name="bucket",
        prefix="a/b",
    )
    assert written.submit(old)[0].startswith("[8,5,")
    written.durable()
    assert written.sizes() == (0, 0, 0, 0, 1)


def test_the_keys_of_compositions_that_ended_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_row_keys, "MAXIMUM_ENDED_COMPOSITIONS", 2)
    written = Written()
    for number in range(4):
        written.submit(put_composition(composition(f"{COMPOSITION_ARN}{number}", end_ms=NOON_MS)))
    written.durable()
    assert [*written.keys._compositions] == [COMPOSITION_ARN, f"{COMPOSITION_ARN}2", f"{COMPOSITION_ARN}3"]
