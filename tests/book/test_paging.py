"""Property tests: pages stay consistent while others write. Every item that existed is shown exactly once."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.book.book_values import ParticipantFilter
from stagebook.book.changes import DeleteResource, PutReplica
from stagebook.book.server_book import ServerBook
from stagebook.book.store import Book
from stagebook.stage.resources import ReplicationState
from tests.book.sample import (
    ACCOUNT,
    ARN,
    KEY_ARN,
    NOON_MS,
    OTHER_ARN,
    SESSION,
    append,
    commit,
    open_book,
    open_session,
    public_key,
    put,
    put_resource,
    put_stage,
    replica,
)

# Between two pages: the number of new events, and their offset in milliseconds, negative when the clock jumps back.
ARRIVALS = st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 3)), max_size=12)


async def check_newest_first(book: Book, *, before: int, limit: int, arrivals: list[tuple[int, int]]) -> None:
    """Read pages of the newest events first, while further ones arrive."""
    expected = list(await commit(book, *(append("p", at_ms=NOON_MS + number // 2) for number in range(before))))
    expected.reverse()
    seen: list[int] = []
    waiting = list(arrivals)
    while page := book.page_events(ARN, SESSION, "p", after=seen[-1] if seen else None, limit=limit):
        seen += [row[0] for row in page]
        count, later_ms = waiting.pop() if waiting else (0, 0)
        await commit(book, *[append("p", at_ms=NOON_MS + 20 + later_ms)] * count)
    assert seen == expected


async def check_oldest_first(book: Book, *, before: int, limit: int, arrivals: list[tuple[int, int]]) -> None:
    """Read pages of the oldest events first, while further ones arrive."""
    expected = list(await commit(book, *(append("p", at_ms=NOON_MS + number // 2) for number in range(before))))
    seen: list[int] = []
    waiting = list(arrivals)
    while page := book.page_events(ARN, SESSION, "p", after=seen[-1] if seen else None, limit=limit, oldest_first=True):
        seen += [row[0] for row in page]
        count, later_ms = waiting.pop() if waiting else (0, 0)
        expected += await commit(book, *[append("p", at_ms=NOON_MS + 20 + later_ms)] * count)
    assert seen == expected


@settings(max_examples=25, deadline=None)
@given(before=st.integers(0, 25), limit=st.integers(1, 6), arrivals=ARRIVALS)
def test_newest_first_pages_show_exactly_the_events_present_at_the_first_page(
    before: int, limit: int, arrivals: list[tuple[int, int]]
) -> None:
    _with_session(lambda book: check_newest_first(book, before=before, limit=limit, arrivals=arrivals))


@settings(max_examples=25, deadline=None)
@given(before=st.integers(0, 25), limit=st.integers(1, 6), arrivals=ARRIVALS)
def test_oldest_first_pages_show_present_events_and_those_that_arrive(
    before: int, limit: int, arrivals: list[tuple[int, int]]
) -> None:
    _with_session(lambda book: check_oldest_first(book, before=before, limit=limit, arrivals=arrivals))


async def test_pages_of_each_store_are_stable_while_events_arrive(book: ServerBook) -> None:
    """One example of each of the two tests above, over each store."""
    await commit(book, put_stage(), open_session(), put("p"))
    await check_oldest_first(book, before=11, limit=3, arrivals=[(1, -3), (0, 0), (4, 3), (2, 0)])
    seen: list[int] = []
    newest = [row[0] for row in book.page_events(ARN, SESSION, "p", after=None, limit=100)]
    while page := book.page_events(ARN, SESSION, "p", after=seen[-1] if seen else None, limit=4):
        seen += [row[0] for row in page]
        await commit(book, append("p", at_ms=NOON_MS + 30))
    assert seen == newest


@settings(max_examples=25, deadline=None)
@given(before=st.integers(0, 20), limit=st.integers(1, 6), joins=st.lists(st.integers(0, 3), max_size=8))
def test_pages_of_participants_are_stable_while_others_join(before: int, limit: int, joins: list[int]) -> None:
    async def check(book: Book) -> None:
        await commit(book, *(put(f"p{number}") for number in range(before)))
        seen: list[str] = []
        after: int | None = None
        waiting, added = list(joins), 0
        while True:
            page = book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=after, limit=limit)
            seen += [one.participant_id for one in page.items]
            after = page.next_position
            if after is None:
                break
            for _ in range(waiting.pop() if waiting else 0):
                added += 1
                # A participant that is put again keeps its position.
                await commit(book, put(f"new{added}"), put("p0"))
        assert seen == ["p" + str(number) for number in reversed(range(before))]

    _with_session(check, participant=None)


@settings(max_examples=25, deadline=None)
@given(
    before=st.integers(0, 20), limit=st.integers(1, 6), churn=st.lists(st.integers(0, 40), max_size=8), data=st.data()
)
def test_pages_of_resources_show_all_that_stay_while_others_are_put_and_deleted(
    before: int, limit: int, churn: list[int], data: st.DataObject
) -> None:
    arns = [f"{KEY_ARN}{number}" for number in range(before)]
    leaving = data.draw(st.sets(st.sampled_from(arns)) if arns else st.just(set[str]()))

    async def check(book: Book) -> None:
        await commit(book, *map(put_resource, arns))
        seen: list[str] = []
        page = book.list_resources(ACCOUNT, "public-key", after=None, limit=limit)
        waiting, new_arns, deletions = (
            list(churn),
            [f"{KEY_ARN}new{number}" for number in range(len(churn))],
            sorted(leaving),
        )
        added: list[str] = []
        while True:
            seen += [one.arn for one in page.items]
            if page.next_position is None:
                break
            if waiting:
                number = waiting.pop()
                added.append(new_arns[len(added)])
                await commit(
                    book,
                    put_resource(added[-1]),
                    *([DeleteResource(arn=deletions.pop(number % len(deletions)))] if deletions else []),
                    # A resource that is put again keeps its position.
                    *([put_resource(public_key(arns[0], name="changed"))] if arns[0] not in leaving else []),
                )
            page = book.list_resources(ACCOUNT, "public-key", after=page.next_position, limit=limit)
        assert len(seen) == len(set(seen))
        all_arns = [*arns, *added]
        assert seen == sorted(seen, key=all_arns.index)
        assert [arn for arn in seen if arn not in leaving] == [arn for arn in all_arns if arn not in leaving]

    _with_session(check, participant=None)


@settings(max_examples=25, deadline=None)
@given(before=st.integers(0, 8), limit=st.integers(1, 4), starts=st.lists(st.integers(0, 2), max_size=6))
def test_pages_of_replicas_are_stable_while_others_start_and_stop(before: int, limit: int, starts: list[int]) -> None:
    async def check(book: Book) -> None:
        number = 0

        async def start() -> None:
            nonlocal number
            arn = f"{OTHER_ARN}{number}"
            await commit(book, put_stage(arn), open_session(arn=arn))
            await commit(book, PutReplica(replica=replica(destination=(arn, SESSION))))
            number += 1

        for _ in range(before):
            await start()
        seen: list[str] = []
        after: int | None = None
        waiting = list(starts)
        while True:
            page = book.list_replicas(ARN, "p", after=after, limit=limit)
            seen += [one.destination_stage_arn for one in page.items]
            after = page.next_position
            if after is None:
                break
            for _ in range(waiting.pop() if waiting else 0):
                await start()
            first = replica(destination=(f"{OTHER_ARN}0", SESSION), state=ReplicationState.STOPPED)
            await commit(book, PutReplica(replica=first))
        assert seen == [f"{OTHER_ARN}{one}" for one in reversed(range(before))]

    _with_session(check)


def _with_session(check: Callable[[Book], Awaitable[None]], *, participant: str | None = "p") -> None:
    """Run `check` on a fresh book with an open session."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            book = open_book(Path(folder) / "book")
            try:
                await commit(book, put_stage(), open_session(), *([put(participant)] if participant else []))
                await check(book)
            finally:
                await book.close()

    asyncio.run(run())
