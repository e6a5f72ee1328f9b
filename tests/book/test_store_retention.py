"""Deletion by age through the port: what goes, what stays, and that keys and positions are not used again."""

from stagebook.book.book_values import ParticipantFilter
from stagebook.book.changes import DeleteStage, RevokeConnectionToken, RevokeParticipant
from stagebook.book.retention_policy import DAY_MS
from stagebook.book.store import Book
from stagebook.stage.events import EventName
from stagebook.stage.resources import ReplicationState
from tests.book.conftest import Books
from tests.book.retained import AGE_DAYS, LATER_MS, PARTICIPANT_TOKEN_DAYS, delete_old, policy
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
    put_replica,
    put_stage,
)

NEWER_SESSION = "st-newer00000000"
END_MS = NOON_MS + 60_000
"""When the sample session ends."""


async def record_session(book: Book, session_id: str = SESSION, *, arn: str = ARN, end_ms: int = END_MS) -> None:
    """Record an ended session with one participant and two events."""
    await commit(
        book,
        put_stage(arn),
        open_session(session_id, arn=arn),
        put("p", session_id=session_id, arn=arn),
        append("p", EventName.JOINED, session_id=session_id, arn=arn),
        append("p", EventName.LEFT, session_id=session_id, arn=arn),
        end_session(session_id, arn=arn, end_ms=end_ms),
    )


def session_ids(book: Book, arn: str = ARN) -> list[str]:
    return [each.session_id for each in book.list_sessions(arn, after=None, limit=99).items]


async def test_an_old_session_goes_with_everything_that_belongs_to_it(book: Book) -> None:
    await record_session(book)

    deleted = await delete_old(book)

    assert deleted == {"session": 1, "participant": 1, "event": 2}
    assert book.get_session(ARN, SESSION) is None
    assert book.get_participant(ARN, SESSION, "p") is None
    assert book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=9).items == []
    assert book.page_events(ARN, SESSION, "p", after=None, limit=9) == []
    assert book.get_stage(ARN) is not None
    assert await delete_old(book) == {}


async def test_a_session_is_deleted_once_its_end_is_older_than_the_age(book: Book) -> None:
    await record_session(book)
    assert await delete_old(book, now_ms=END_MS + AGE_DAYS * DAY_MS) == {}
    assert session_ids(book) == [SESSION]
    await delete_old(book, now_ms=END_MS + AGE_DAYS * DAY_MS + 1)
    assert session_ids(book) == []


async def test_only_old_sessions_of_a_stage_are_deleted(book: Book) -> None:
    await record_session(book)
    await record_session(book, NEWER_SESSION, end_ms=LATER_MS - DAY_MS)
    await delete_old(book)
    assert session_ids(book) == [NEWER_SESSION]
    assert [event.event.name for event in book.list_events(ARN, NEWER_SESSION, "p")] == ["JOINED", "LEFT"]


async def test_nothing_of_an_open_session_is_deleted(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put("p"), append("p"))
    assert await delete_old(book) == {}
    assert [event.event.name for event in book.list_events(ARN, SESSION, "p")] == [EventName.JOINED]
    await commit(book, append("p", EventName.LEFT), end_session())
    assert session_ids(book) == [SESSION]


async def test_ages_differ_by_account_and_by_stage(book: Book) -> None:
    await record_session(book)
    await record_session(book, OTHER_SESSION, arn=OTHER_ARN)
    await delete_old(book, by=policy(0, stage_days={ARN: AGE_DAYS}))
    assert (session_ids(book), session_ids(book, OTHER_ARN)) == ([], [OTHER_SESSION])
    await delete_old(book, by=policy(AGE_DAYS, account_days={ACCOUNT: 0}))
    assert session_ids(book, OTHER_ARN) == [OTHER_SESSION]
    await delete_old(book, by=policy(0, account_days={ACCOUNT: AGE_DAYS}))
    assert session_ids(book, OTHER_ARN) == []


async def test_at_each_step_a_session_is_there_as_a_whole_or_not_at_all(books: Books) -> None:
    book = books.open()
    await record_session(book)
    await commit(book, open_session(OTHER_SESSION), put("q", session_id=OTHER_SESSION))
    many = [append("q", session_id=OTHER_SESSION) for _ in range(500)]
    await commit(book, *many, end_session(OTHER_SESSION))
    seen = set()
    async for _ in book.delete_old(policy(), now_ms=LATER_MS):
        events = book.page_events(ARN, OTHER_SESSION, "q", after=None, limit=999)
        is_listed = book.get_session(ARN, OTHER_SESSION) is not None
        has_participant = book.get_participant(ARN, OTHER_SESSION, "q") is not None
        seen.add((len(events), is_listed, has_participant))
    assert seen == {(500, True, True), (0, False, False)}


async def test_a_run_that_stops_half_way_is_continued_by_the_next_one_also_after_a_restart(books: Books) -> None:
    book = books.open()
    await commit(book, put_stage(), open_session(), put("p"), *[append("p") for _ in range(500)], end_session())
    steps = 0
    async for step in book.delete_old(policy(), now_ms=LATER_MS):
        steps += bool(step.rows)
        if steps == 3:
            break
    assert (first := sum(step.rows.values())) > 0
    await books.close()

    book = books.open()
    # The keys of what is half deleted are not used again.
    await record_session(book, NEWER_SESSION, end_ms=LATER_MS)
    deleted = await delete_old(book)

    assert 500 - 3 * first <= deleted["event"] < 500
    assert deleted["participant"] == 1
    assert session_ids(book) == [NEWER_SESSION]
    assert [event.event.name for event in book.list_events(ARN, NEWER_SESSION, "p")] == ["JOINED", "LEFT"]


async def test_a_deleted_stage_goes_after_its_last_session(books: Books) -> None:
    book = books.open(show_deleted_history=True)
    await record_session(book)
    revoked = RevokeParticipant(stage_arn=ARN, participant_id="out", at_ms=END_MS, reason="")
    await commit(book, revoked, DeleteStage(stage_arn=ARN, at_ms=LATER_MS - AGE_DAYS * DAY_MS))

    assert await delete_old(book) == {"session": 1, "participant": 1, "event": 2, "revocation": 1}
    assert await delete_old(book, now_ms=LATER_MS + 1) == {"stage": 1}

    await commit(book, put_stage())
    assert book.get_stage(ARN) is not None
    assert not book.has_revoked(ARN)


async def test_a_deleted_stage_stays_while_a_session_is_kept(books: Books) -> None:
    book = books.open(show_deleted_history=True)
    await record_session(book, end_ms=LATER_MS)
    await commit(book, DeleteStage(stage_arn=ARN, at_ms=END_MS))
    assert await delete_old(book) == {}
    assert session_ids(book) == [SESSION]


async def test_a_revocation_stays_as_long_as_a_token_of_the_participant_can_be_valid(book: Book) -> None:
    await commit(book, put_stage())
    await commit(book, RevokeParticipant(stage_arn=ARN, participant_id="out", at_ms=NOON_MS, reason=""))
    end_ms = NOON_MS + PARTICIPANT_TOKEN_DAYS * DAY_MS
    assert await delete_old(book, by=policy(1), now_ms=end_ms) == {}
    assert book.is_revoked(ARN, "out")
    assert await delete_old(book, by=policy(1), now_ms=end_ms + 1) == {"revocation": 1}
    assert not book.is_revoked(ARN, "out")


async def test_revocations_of_connection_tokens_go_by_the_age_of_their_account(book: Book) -> None:
    accounts = (ACCOUNT, "210987654321")
    for account_id in accounts:
        for token_id in ("one", "two"):
            await commit(book, RevokeConnectionToken(account_id=account_id, token_id=token_id, at_ms=NOON_MS))
    await commit(book, RevokeConnectionToken(account_id=ACCOUNT, token_id="new", at_ms=LATER_MS))
    by = policy(0, account_days={ACCOUNT: AGE_DAYS})
    assert await delete_old(book, by=by) == {"connection_token_revocation": 2}
    assert [book.is_connection_token_revoked(ACCOUNT, each) for each in ("one", "two", "new")] == [False, False, True]
    assert book.is_connection_token_revoked(accounts[1], "one")


async def test_a_replica_goes_with_the_first_of_its_sessions(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put_stage(OTHER_ARN), open_session(OTHER_SESSION, arn=OTHER_ARN))
    await commit(book, put_replica())
    await commit(book, end_session(), end_session(OTHER_SESSION, arn=OTHER_ARN))
    assert await delete_old(book) == {}, "a session with an active replica is not ended"
    await commit(book, put_replica(state=ReplicationState.STOPPED))
    deleted = await delete_old(book, by=policy(0, stage_days={OTHER_ARN: AGE_DAYS}))
    assert deleted == {"session": 1, "replica": 1}
    assert book.list_replicas(ARN, "p", after=None, limit=9).items == []
    assert session_ids(book) == [SESSION]


async def test_positions_of_deleted_items_are_not_used_again(books: Books) -> None:
    """A page that was read before goes on after the position of an item that is gone, and shows nothing new."""
    book = books.open()
    sessions = [f"st-{number}" for number in range(3)]
    for session_id in sessions:
        await record_session(book, session_id)
    stage_arns = [OTHER_ARN + "1", OTHER_ARN + "2"]
    await commit(book, *map(put_stage, stage_arns))
    page = book.list_sessions(ARN, after=None, limit=1)
    stages = book.list_stages(ACCOUNT, after=None, limit=2)
    await commit(book, *[DeleteStage(stage_arn=each, at_ms=END_MS) for each in stage_arns])
    assert (await delete_old(book))["session"] == 3
    await books.close()

    book = books.open()
    await record_session(book, NEWER_SESSION)
    await commit(book, put_stage(OTHER_ARN))

    assert book.list_sessions(ARN, after=page.next_position, limit=9).items == []
    assert [each.arn for each in book.list_stages(ACCOUNT, after=stages.next_position, limit=9).items] == [OTHER_ARN]
    newest = book.list_sessions(ARN, after=None, limit=1)
    assert [each.session_id for each in newest.items] == [NEWER_SESSION]


async def test_sequence_numbers_are_not_used_again(books: Books) -> None:
    book = books.open()
    await record_session(book)
    last_ms = book.last_time_ms()
    await delete_old(book)
    await books.close()
    book = books.open()
    assert book.last_time_ms() == last_ms
    assert book.first_event_ms() is None


async def test_the_oldest_event_is_known(book: Book) -> None:
    await record_session(book)
    await commit(book, open_session(NEWER_SESSION), put("p", session_id=NEWER_SESSION))
    await commit(book, append("p", session_id=NEWER_SESSION, at_ms=LATER_MS))
    assert book.first_event_ms() == NOON_MS
    await delete_old(book)
    assert book.first_event_ms() == LATER_MS
