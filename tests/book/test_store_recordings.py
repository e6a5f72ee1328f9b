"""Recordings of the port: their states, their events, and what an ended session still accepts."""

import pytest

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.book_values import ParticipantFilter
from stagebook.book.changes import PutRecording
from stagebook.book.store import Book
from stagebook.stage.events import Event, EventName, RecordingDetails
from stagebook.stage.resources import ParticipantRecord, RecordingState
from tests.book.sample import ARN, NOON_MS, SESSION, append, commit, end_session, open_session, put, put_stage

STARTED = Event(
    name=EventName.RECORDING_STARTED, recording=RecordingDetails(bucket_name="bucket", prefix="abcdABCDefgh/x")
)


def recording(
    state: RecordingState, *, participant_id: str = "p", recording_id: str = "one", is_shown: bool = True
) -> PutRecording:
    """Return the change that puts a recording."""
    return PutRecording(
        stage_arn=ARN,
        session_id=SESSION,
        participant_id=participant_id,
        recording_id=recording_id,
        state=state,
        bucket_name="bucket",
        prefix=f"abcdABCDefgh/{recording_id}",
        is_shown=is_shown,
    )


async def test_pages_of_events_are_full_although_recordings_have_events_too(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put("p"))
    for _ in range(60):
        names = (EventName.PUBLISH_STARTED, STARTED, STARTED, EventName.PUBLISH_STOPPED)
        await commit(book, *(append("p", name) for name in names))
    first = book.page_events(ARN, SESSION, "p", after=None, limit=100)
    second = book.page_events(ARN, SESSION, "p", after=first[-1][0], limit=100)
    assert (len(first), len(second)) == (100, 20)
    assert {row[1] for row in (*first, *second)} == {2, 3}
    assert len(book.list_events(ARN, SESSION, "p")) == 240


async def test_an_ended_session_accepts_recordings_only(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put("p"), recording(RecordingState.ACTIVE))
    book.submit([end_session()])
    late = NOON_MS + 90_000
    for _ in range(2):  # while the end is not durable, and after it
        await commit(book, append("p", STARTED, at_ms=late), recording(RecordingState.STOPPING))
        with pytest.raises(ChangeRefusedError):
            book.submit([append("p", at_ms=late)])
        with pytest.raises(ChangeRefusedError):
            book.submit([put("p")])
        with pytest.raises(ChangeRefusedError):
            book.submit([append("stranger", STARTED, at_ms=late)])
    await commit(book, open_session("st-next000000000"), put("p", session_id="st-next000000000"))
    await commit(book, recording(RecordingState.STOPPED))
    found = book.get_participant(ARN, SESSION, "p")
    assert found is not None
    assert (found.recording_state, found.recording_bucket_name) == (RecordingState.STOPPED, "bucket")
    assert found.recording_prefix == "abcdABCDefgh/one"
    assert book.list_open_recordings() == []


async def test_a_participant_that_is_put_again_keeps_its_recording(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put("p"), recording(RecordingState.ACTIVE))
    await commit(book, put(ParticipantRecord(participant_id="p", published=True)))
    found = book.get_participant(ARN, SESSION, "p")
    assert found is not None
    assert (found.published, found.recording_state) == (True, RecordingState.ACTIVE)


async def test_the_last_state_of_one_transaction_counts(book: Book) -> None:
    states = (RecordingState.STARTING, RecordingState.ACTIVE, RecordingState.FAILED, RecordingState.STOPPING)
    await commit(book, put_stage(), open_session(), put("p"), *(recording(state) for state in states))
    found = book.get_participant(ARN, SESSION, "p")
    assert found is not None
    assert found.recording_state is RecordingState.STOPPING
    assert [each.recording_id for each in book.list_open_recordings()] == ["one"]


async def test_a_former_recording_is_open_and_not_shown(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put("p"), recording(RecordingState.STOPPING))
    await commit(
        book,
        recording(RecordingState.STARTING, recording_id="two"),
        recording(RecordingState.STOPPING, is_shown=False),
    )
    found = book.get_participant(ARN, SESSION, "p")
    assert found is not None
    assert (found.recording_state, found.recording_prefix) == (RecordingState.STARTING, "abcdABCDefgh/two")
    assert [(each.recording_id, each.is_shown) for each in book.list_open_recordings()] == [
        ("one", False),
        ("two", True),
    ]


@pytest.mark.parametrize("state", RecordingState)
async def test_participants_are_filtered_by_the_state_of_their_recording(book: Book, state: RecordingState) -> None:
    await commit(book, put_stage(), open_session(), *(put(str(number)) for number in range(1_200)))
    recorded = [each for each in RecordingState if each is not RecordingState.DISABLED]
    await commit(
        book,
        *(recording(each, participant_id=str(at * 10), recording_id=str(at)) for at, each in enumerate(recorded)),
    )
    found: list[str] = []
    after = None
    while True:
        where = ParticipantFilter(recording_state=state)
        page = book.list_participants(ARN, SESSION, where=where, after=after, limit=100)
        found += [each.participant_id for each in page.items]
        after = page.next_position
        if after is None:
            break
    if state is RecordingState.DISABLED:
        assert len(found) == 1_200 - len(recorded)
    else:
        assert found == [str(recorded.index(state) * 10)]
