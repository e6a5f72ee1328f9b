"""Stages, sessions, participants and revocations of the port."""

import pytest

from stagebook.book.book_values import ParticipantFilter, Revocation
from stagebook.book.changes import DeleteStage, PutStage, RevokeParticipant
from stagebook.book.store import Book
from stagebook.book.tables import table_reader
from stagebook.book.tables.table_reader import TableReader
from stagebook.stage.events import EventName
from stagebook.stage.resources import (
    ClientInfo,
    ParticipantProtocol,
    ParticipantRecord,
    ParticipantState,
    ReplicationState,
    ReplicationType,
    Stage,
    StageSession,
)
from tests.book.conftest import Books
from tests.book.sample import (
    ACCOUNT,
    ARN,
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    end_session,
    open_session,
    put,
    put_stage,
    stage,
)

FULL_STAGE = Stage(
    arn=ARN,
    account_id=ACCOUNT,
    name="talk-1",
    created_ms=NOON_MS,
    tags={"team": "växjö", "": "empty"},
    recording={"storageConfigurationArn": "arn:x", "mediaTypes": ["AUDIO_VIDEO"]},
)
FULL_PARTICIPANT = ParticipantRecord(
    participant_id="abCDEf12GHIj",
    user_id="user 😀",
    state=ParticipantState.CONNECTED,
    first_join_ms=NOON_MS,
    attributes={"role": 'say "hello"', "line": "one\ntwo\x00three"},
    published=True,
    protocol=ParticipantProtocol.WHIP,
    client=ClientInfo(os_name="Linux", browser_name="Chromium", sdk_version="1.2"),
    replication_type=ReplicationType.REPLICA,
    replication_state=ReplicationState.ACTIVE,
    source_stage_arn=OTHER_ARN,
    source_session_id=OTHER_SESSION,
    redundant_ingest=True,
    ingest_configuration_arn="arn:aws:ivs:us-west-2:123456789012:ingest-configuration/abc",
)


async def test_a_stage_is_read_as_it_was_put(book: Book) -> None:
    await commit(book, PutStage(stage=FULL_STAGE))
    assert book.get_stage(ARN) == FULL_STAGE


async def test_putting_a_stage_again_replaces_its_name_tags_and_recording(book: Book) -> None:
    await commit(book, PutStage(stage=FULL_STAGE))
    await commit(book, PutStage(stage=stage(name="renamed")))
    assert book.get_stage(ARN) == stage(name="renamed")
    assert book.count_stages(ACCOUNT) == 1


async def test_a_stage_has_an_active_session_id_only_while_the_session_is_open(book: Book) -> None:
    await commit(book, put_stage(), open_session())
    opened = book.get_stage(ARN)
    assert opened is not None
    assert opened.active_session_id == SESSION
    assert book.list_stages(ACCOUNT, after=None, limit=1).items == [opened]
    await commit(book, end_session())
    assert book.get_stage(ARN) == stage()


async def test_stages_are_listed_by_account_in_order_of_creation(book: Book) -> None:
    arns = [f"{ARN}{number}" for number in range(5)]
    for arn in arns:
        await commit(book, put_stage(arn))
    await commit(book, PutStage(stage=stage(OTHER_ARN, account_id="999999999999")))
    seen: list[str] = []
    after: int | None = None
    while True:
        page = book.list_stages(ACCOUNT, after=after, limit=2)
        seen += [one.arn for one in page.items]
        after = page.next_position
        if after is None:
            break
        assert len(page.items) == 2
    assert seen == arns
    assert book.count_stages(ACCOUNT) == 5
    assert book.count_stages("000000000000") == 0


async def test_a_full_last_page_has_no_next_position(book: Book) -> None:
    await commit(book, put_stage(), put_stage(OTHER_ARN))
    assert book.list_stages(ACCOUNT, after=None, limit=2).next_position is None


async def test_sessions_are_listed_newest_first(book: Book) -> None:
    await commit(book, put_stage())
    ids = [f"st-{number:013d}" for number in range(3)]
    for number, session_id in enumerate(ids):
        await commit(book, open_session(session_id, start_ms=NOON_MS + number))
        await commit(book, end_session(session_id, end_ms=NOON_MS + number + 1))
    first = book.list_sessions(ARN, after=None, limit=2)
    assert [one.session_id for one in first.items] == [ids[2], ids[1]]
    rest = book.list_sessions(ARN, after=first.next_position, limit=2)
    assert rest.items == [StageSession(stage_arn=ARN, session_id=ids[0], start_ms=NOON_MS, end_ms=NOON_MS + 1)]
    assert rest.next_position is None


async def test_a_session_can_end_and_the_next_open_in_one_transaction(book: Book) -> None:
    await commit(book, put_stage(), open_session())
    await commit(book, end_session(), open_session(OTHER_SESSION))
    assert [one.session_id for one in book.list_open_sessions()] == [OTHER_SESSION]
    ended = book.get_session(ARN, SESSION)
    assert ended is not None
    assert ended.end_ms == NOON_MS + 60_000


async def test_a_participant_is_read_as_it_was_put(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put(FULL_PARTICIPANT))
    assert book.get_participant(ARN, SESSION, FULL_PARTICIPANT.participant_id) == FULL_PARTICIPANT


async def test_putting_a_participant_again_replaces_it_in_place(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put(FULL_PARTICIPANT), put("second"))
    bare = ParticipantRecord(participant_id=FULL_PARTICIPANT.participant_id)
    await commit(book, put(bare))
    page = book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=9)
    assert page.items == [ParticipantRecord(participant_id="second"), bare]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ParticipantFilter(), [5, 4, 3, 2, 1, 0]),
        (ParticipantFilter(user_id="ann"), [3, 0]),
        (ParticipantFilter(user_id="nobody"), []),
        (ParticipantFilter(published=True), [4, 2, 0]),
        (ParticipantFilter(published=False), [5, 3, 1]),
        (ParticipantFilter(state=ParticipantState.CONNECTED), [5, 4, 3]),
        (ParticipantFilter(state=ParticipantState.DISCONNECTED), [2, 1, 0]),
        (ParticipantFilter(user_id="ann", state=ParticipantState.CONNECTED), [3]),
        (ParticipantFilter(published=True, state=ParticipantState.DISCONNECTED), [2, 0]),
        (ParticipantFilter(published=False, state=ParticipantState.CONNECTED), [5, 3]),
    ],
)
async def test_participants_are_filtered_and_paged_newest_first(
    book: Book, where: ParticipantFilter, expected: list[int]
) -> None:
    users = ["ann", "bob", "cid"]
    records = [
        ParticipantRecord(
            participant_id=f"p{number}",
            user_id=users[number % 3],
            published=number % 2 == 0,
            state=ParticipantState.CONNECTED if number > 2 else ParticipantState.DISCONNECTED,
        )
        for number in range(6)
    ]
    await commit(book, put_stage(), open_session(), *map(put, records))
    await commit(book, put_stage(OTHER_ARN), open_session(arn=OTHER_ARN), put(records[0], arn=OTHER_ARN))
    seen: list[ParticipantRecord] = []
    page = book.list_participants(ARN, SESSION, where=where, after=None, limit=2)
    while page.next_position is not None:
        seen += page.items
        page = book.list_participants(ARN, SESSION, where=where, after=page.next_position, limit=2)
    assert seen + page.items == [records[number] for number in expected]


async def test_open_sessions_and_participants_are_found_after_a_restart(books: Books) -> None:
    book = books.open()
    connected = ParticipantRecord(participant_id="here", state=ParticipantState.CONNECTED)
    await commit(book, put_stage(), open_session(), put(connected), put("gone"))
    await commit(book, append("here"), append("gone"), append("gone", EventName.LEFT))
    await commit(book, put_stage(OTHER_ARN), open_session(arn=OTHER_ARN), end_session(arn=OTHER_ARN))
    await book.close()
    book = books.open()
    assert book.list_open_sessions() == [StageSession(stage_arn=ARN, session_id=SESSION, start_ms=NOON_MS)]
    assert [one.record for one in book.list_open_participants(ARN, SESSION, after=None, limit=9).items] == [connected]
    assert book.list_open_participants(OTHER_ARN, SESSION, after=None, limit=9).items == []


async def test_a_revocation_is_permanent_and_covers_one_participant_of_one_stage(books: Books) -> None:
    book = books.open()
    await commit(book, put_stage(), put_stage(OTHER_ARN))
    revocation = RevokeParticipant(stage_arn=ARN, participant_id="out", at_ms=NOON_MS, reason="rude")
    await commit(book, revocation, revocation)
    await commit(book, revocation)
    await book.close()
    book = books.open()
    assert [book.has_revoked(arn) for arn in (ARN, OTHER_ARN)] == [True, False]
    assert [book.is_revoked(ARN, participant_id) for participant_id in ("out", "p")] == [True, False]
    assert not book.is_revoked(OTHER_ARN, "out")


async def test_the_revocations_of_an_account_are_read_in_pages(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(book, TableReader)
    monkeypatch.setattr(table_reader, "REVOCATIONS_PER_PAGE", 2)
    deleted_arn = ARN + "x"
    arns = (ARN, OTHER_ARN, deleted_arn)
    await commit(book, *map(put_stage, arns))
    people = [f"p{number}" for number in range(5)]
    expected = [Revocation(arn, person) for arn in (ARN, OTHER_ARN) for person in people]
    for arn in arns:
        revocations = [
            RevokeParticipant(stage_arn=arn, participant_id=person, at_ms=NOON_MS, reason="") for person in people
        ]
        await commit(book, *revocations)
    await commit(book, DeleteStage(stage_arn=deleted_arn, at_ms=NOON_MS))
    assert list(book.iterate_revocations(ACCOUNT)) == expected
    assert list(book.iterate_revocations("210987654321")) == []


async def _delete_a_used_stage(book: Book) -> None:
    connected = ParticipantRecord(participant_id="p", state=ParticipantState.CONNECTED)
    await commit(book, put_stage(), open_session(), put(connected), append("p"))
    await commit(book, DeleteStage(stage_arn=ARN, at_ms=NOON_MS))


async def test_a_deleted_stage_and_its_contents_read_as_absent(book: Book) -> None:
    await _delete_a_used_stage(book)
    assert book.get_stage(ARN) is None
    assert book.list_stages(ACCOUNT, after=None, limit=9).items == []
    assert book.count_stages(ACCOUNT) == 0
    assert book.get_session(ARN, SESSION) is None
    assert book.list_sessions(ARN, after=None, limit=9).items == []
    assert book.get_participant(ARN, SESSION, "p") is None
    assert book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=9).items == []
    assert book.page_events(ARN, SESSION, "p", after=None, limit=9) == []


async def test_an_open_session_of_a_deleted_stage_can_still_be_ended(books: Books) -> None:
    book = books.open()
    await _delete_a_used_stage(book)
    await book.close()
    book = books.open()
    assert [one.session_id for one in book.list_open_sessions()] == [SESSION]
    (still_open,) = book.list_open_participants(ARN, SESSION, after=None, limit=9).items
    assert still_open.record.participant_id == "p"
    assert len(book.list_events(ARN, SESSION, "p")) == 1
    await commit(book, append("p"), put("p"), end_session())
    assert book.list_open_sessions() == []


async def test_the_history_of_deleted_stages_can_be_shown(books: Books) -> None:
    book = books.open(show_deleted_history=True)
    await _delete_a_used_stage(book)
    assert book.get_stage(ARN) is None
    assert book.count_stages(ACCOUNT) == 0
    assert book.get_session(ARN, SESSION) is not None
    assert len(book.list_sessions(ARN, after=None, limit=9).items) == 1
    assert book.get_participant(ARN, SESSION, "p") is not None
    assert len(book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=9).items) == 1
    assert len(book.page_events(ARN, SESSION, "p", after=None, limit=9)) == 1


async def test_unknown_ids_read_as_absent(book: Book) -> None:
    assert book.get_stage(ARN) is None
    assert book.get_session(ARN, SESSION) is None
    assert book.list_sessions(ARN, after=None, limit=1).items == []
    assert book.get_participant(ARN, SESSION, "p") is None
    assert book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=1).items == []
    assert book.page_events(ARN, SESSION, "p", after=None, limit=1) == []
    assert book.list_events(ARN, SESSION, "p") == []
    assert not book.has_revoked(ARN)
    assert not book.is_revoked(ARN, "p")
