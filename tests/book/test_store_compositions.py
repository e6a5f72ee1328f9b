"""Compositions and their events through the port."""

import pytest

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.changes import DeleteStage
from stagebook.book.composition_reader import CompositionFilter
from stagebook.book.retention_policy import DAY_MS
from stagebook.book.store import Book
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)
from tests.book.conftest import Books
from tests.book.retained import AGE_DAYS, LATER_MS, delete_old
from tests.book.sample import (
    ACCOUNT,
    ARN,
    COMPOSITION_ARN,
    NOON_MS,
    OTHER_ARN,
    append,
    append_composition,
    commit,
    composition,
    open_session,
    put,
    put_composition,
    put_stage,
)

END_MS = NOON_MS + 1_000
FAILED = CompositionEvent(
    name=CompositionEventName.COMPOSITION_DESTINATION_FAILED,
    destination_id="GHFabcgefABC",
    error_code=CompositionErrorCode.ACCESS_DENIED_EXCEPTION,
    cause=CompositionCause.OUTPUT,
)


def arn_of(number: int) -> str:
    return f"{COMPOSITION_ARN}{number}"


def shown(book: Book, where: CompositionFilter, *, limit: int = 2) -> list[str]:
    """Return the ARNs of all pages of a list."""
    arns: list[str] = []
    after: int | None = None
    while True:
        page = book.compositions.page(where, after=after, limit=limit)
        assert len(page.items) <= limit
        arns += [each.arn for each in page.items]
        after = page.next_position
        if after is None:
            return arns


async def test_a_composition_is_stored_with_every_member(book: Book) -> None:
    await commit(book, put_stage(), put_composition())
    assert book.compositions.find(COMPOSITION_ARN) == composition()
    assert book.compositions.list_open() == [composition()]


async def test_putting_a_composition_again_replaces_it(book: Book) -> None:
    await commit(book, put_stage(), put_composition())
    ended = composition(end_ms=END_MS)
    await commit(book, put_composition(ended))
    assert book.compositions.find(COMPOSITION_ARN) == ended
    assert book.compositions.list_open() == []
    assert book.compositions.list_ended_after(END_MS - 1) == [ended]
    assert book.compositions.list_ended_after(END_MS) == []


async def test_a_composition_of_an_unknown_stage_is_refused(book: Book) -> None:
    with pytest.raises(ChangeRefusedError, match="there is no stage"):
        book.submit([put_composition()])


async def test_an_event_of_an_unknown_composition_is_refused_and_takes_no_number(book: Book) -> None:
    await commit(book, put_stage(), put_composition())
    (first,) = await commit(book, append_composition())
    (second,) = await commit(book, append_composition())
    with pytest.raises(ChangeRefusedError, match="there is no composition"):
        book.submit([append_composition(), append_composition(arn=arn_of(2))])
    (third,) = await commit(book, append_composition())
    assert third - second == second - first


async def test_events_have_numbers_of_the_sequence_of_all_events(book: Book) -> None:
    changes = (put_stage(), put_composition(), open_session(), put("p"))
    sequences = await commit(book, *changes, append("p"), append_composition(FAILED), append("p"))
    assert sequences == tuple(sorted(set(sequences)))
    (logged,) = book.compositions.page_events(COMPOSITION_ARN, after=None, limit=9).items
    assert logged.sequence == sequences[1]
    assert logged.event == FAILED
    assert (logged.account_id, logged.stage_arn, logged.composition_arn) == (ACCOUNT, ARN, COMPOSITION_ARN)


async def test_events_come_in_pages_oldest_first(book: Book) -> None:
    await commit(book, put_stage(), put_composition(), put_composition(arn_of(2)))
    sequences = await commit(book, append_composition(), append_composition(FAILED), append_composition(FAILED))
    await commit(book, append_composition(arn=arn_of(2)))
    first = book.compositions.page_events(COMPOSITION_ARN, after=None, limit=2)
    assert [each.sequence for each in first.items] == list(sequences[:2])
    second = book.compositions.page_events(COMPOSITION_ARN, after=first.next_position, limit=2)
    assert [each.sequence for each in second.items] == [sequences[2]]
    assert second.next_position is None


async def test_the_newest_composition_comes_first_and_each_page_goes_on(book: Book) -> None:
    await commit(book, put_stage(), *(put_composition(arn_of(number)) for number in range(5)))
    newest_first = [arn_of(number) for number in (4, 3, 2, 1, 0)]
    assert shown(book, CompositionFilter()) == newest_first
    assert shown(book, CompositionFilter(account_id=ACCOUNT)) == newest_first
    assert shown(book, CompositionFilter(account_id=ACCOUNT, ended_after_ms=NOON_MS)) == newest_first


async def test_what_ended_before_a_time_is_left_out(book: Book) -> None:
    ends = [END_MS, None, END_MS + 1, END_MS - 1]
    values = [composition(arn_of(number), end_ms=end_ms) for number, end_ms in enumerate(ends)]
    await commit(book, put_stage(), *map(put_composition, values))
    assert shown(book, CompositionFilter(account_id=ACCOUNT, ended_after_ms=END_MS)) == [arn_of(2), arn_of(1)]
    assert len(shown(book, CompositionFilter(account_id=ACCOUNT))) == 4


async def test_filters_select_by_account_stage_and_configuration(book: Book) -> None:
    own, other_stage = composition(), composition(arn_of(2), stage_arn=OTHER_ARN)
    other_account = composition(arn_of(3), account_id="210987654321")
    await commit(book, put_stage(), put_stage(OTHER_ARN), *map(put_composition, (own, other_stage, other_account)))
    assert shown(book, CompositionFilter(account_id="210987654321")) == [arn_of(3)]
    assert shown(book, CompositionFilter(stage_arn=OTHER_ARN)) == [arn_of(2)]
    assert shown(book, CompositionFilter(account_id=ACCOUNT, stage_arn=ARN, ended_after_ms=0)) == [COMPOSITION_ARN]
    (storage_arn,) = (each for each in own.configuration_arns if ":storage-" in each)
    assert len(shown(book, CompositionFilter(configuration_arn=storage_arn))) == 3
    assert shown(book, CompositionFilter(configuration_arn=arn_of(1))) == []


async def test_a_composition_outlives_its_stage_and_a_restart(books: Books) -> None:
    book = books.open()
    await commit(book, put_stage(), put_composition())
    await commit(book, DeleteStage(stage_arn=ARN, at_ms=NOON_MS))
    await book.close()
    book = books.open()
    assert book.compositions.list_open() == [composition()]
    await commit(book, append_composition(), put_composition(composition(end_ms=END_MS)))
    assert book.compositions.list_open() == []


async def test_old_compositions_are_deleted_with_their_events(book: Book) -> None:
    recent_ms = LATER_MS - AGE_DAYS * DAY_MS + 1
    await commit(
        book,
        put_stage(),
        *(put_composition(composition(arn_of(number), end_ms=END_MS)) for number in range(3)),
        put_composition(composition(arn_of(3), end_ms=recent_ms)),
        put_composition(arn_of(4)),
    )
    for number in range(5):
        await commit(book, *[append_composition(arn=arn_of(number)) for _ in range(120)])
    deleted = await delete_old(book)
    assert (deleted["composition"], deleted["composition_event"]) == (3, 360)
    assert shown(book, CompositionFilter()) == [arn_of(4), arn_of(3)]
    assert book.compositions.page_events(arn_of(0), after=None, limit=9).items == []
    assert len(book.compositions.page_events(arn_of(4), after=None, limit=200).items) == 120
    assert await delete_old(book) == {}


async def test_the_position_of_a_deleted_composition_is_not_used_again(books: Books) -> None:
    book = books.open()
    await commit(book, put_stage(), put_composition(composition(end_ms=END_MS)))
    deleted_position = 1
    await delete_old(book)
    await book.close()
    book = books.open()
    await commit(book, put_composition(arn_of(2)), put_composition(arn_of(3)))
    page = book.compositions.page(CompositionFilter(), after=None, limit=1)
    assert page.next_position is not None
    assert page.next_position > deleted_position + 1
