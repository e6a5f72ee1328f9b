"""Measures ListParticipantEvents: all subjects in turns, several rounds, so that a noisy moment meets all of them."""

from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from bench.figures import median
from bench.page.books import LARGE, SMALL
from bench.page.load import Result
from bench.page.subjects import DEEP_EVENTS, Subject, prepare_book, serving_book, serving_static
from bench.report import Aim, Part, Table, number

ROUNDS = 5
SECONDS = 1.5
MAIN_CONNECTIONS = 16
OTHER_CONNECTIONS = (1, 64)
AIM_STATIC_RATIO = 3.3
AIM_SIZE_RATIO = 1.2

_PAGE, _STATIC = "page", "static answer"
_SMALL_BOOK, _FIRST, _DEEP = "small book", "first pages", "deep pages"
Results = dict[tuple[str, int], list[Result]]


def measure_page(folder: Path) -> Part:
    """Build the books, start the servers, load them, and return the report."""
    large_busy = prepare_book(folder / "large", LARGE)
    small_busy = prepare_book(folder / "small", SMALL)
    with ExitStack() as servers:
        small = servers.enter_context(serving_book(folder / "small", small_busy))
        large = servers.enter_context(serving_book(folder / "large", large_busy))
        static = servers.enter_context(serving_static(large))
        results = _load(large, small, static)
    return _report(results, requests=len(large.mixed_pages))


def _load(large: Subject, small: Subject, static: Subject) -> Results:
    turns = [
        (_PAGE, large, large.mixed_pages, MAIN_CONNECTIONS),
        (_STATIC, static, large.mixed_pages, MAIN_CONNECTIONS),
        (_SMALL_BOOK, small, small.mixed_pages, MAIN_CONNECTIONS),
        (_FIRST, large, large.first_pages, MAIN_CONNECTIONS),
        (_DEEP, large, large.deep_pages, MAIN_CONNECTIONS),
    ]
    for connections in OTHER_CONNECTIONS:
        turns.append((_PAGE, large, large.mixed_pages, connections))
        turns.append((_STATIC, static, large.mixed_pages, connections))
    results: Results = defaultdict(list)
    for _ in range(ROUNDS):
        for name, subject, requests, connections in turns:
            results[name, connections].append(subject.load(requests, connections=connections, seconds=SECONDS))
    return results


def _report(results: Results, *, requests: int) -> Part:
    main_ratio = _ratio(results, _PAGE, _STATIC, MAIN_CONNECTIONS)
    size_ratio = _ratio(results, _PAGE, _SMALL_BOOK, MAIN_CONNECTIONS)
    deep_ratio = _ratio(results, _DEEP, _FIRST, MAIN_CONNECTIONS)
    return Part(
        title="ListParticipantEvents",
        method=(
            f"50 events a page from a book of {LARGE.events:,} events; {requests} different requests in rotation, half "
            f"of them first pages, half behind {DEEP_EVENTS} newer events, as boto3 signs them; each answer's contents "
            "checked before the first measurement. Keep-alive connections, each sending its next request after an "
            "answer. CPU is user and system time of the server process. The static answer is the same HTTP server "
            "with an application that sends the same bytes to the same requests and does nothing else. "
            f"Medians of {ROUNDS} rounds of {SECONDS} s, all rows in turns; ratios are medians of each round's own."
        ),
        tables=(_table(results), _comparisons(results, size_ratio=size_ratio, deep_ratio=deep_ratio)),
        aims=(
            Aim(what="page, CPU against the static answer", measured=main_ratio, at_most=AIM_STATIC_RATIO, unit="x"),
            Aim(what="page, CPU from the large book", measured=size_ratio, at_most=AIM_SIZE_RATIO, unit="x"),
            Aim(what="deep page, CPU against the first", measured=deep_ratio, at_most=AIM_SIZE_RATIO, unit="x"),
        ),
    )


def _ratio(results: Results, what: str, against: str, connections: int) -> float:
    pairs = zip(results[what, connections], results[against, connections], strict=True)
    return median([one.cpu_us / other.cpu_us for one, other in pairs])


def _table(results: Results) -> Table:
    rows = []
    for connections in sorted({MAIN_CONNECTIONS, *OTHER_CONNECTIONS}):
        ratio = _ratio(results, _PAGE, _STATIC, connections)
        rows.append(_row(_PAGE, connections, results[_PAGE, connections], f"{ratio:.2f}"))
        rows.append(_row(_STATIC, connections, results[_STATIC, connections], "1"))
    headings = ("answer", "connections", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "times static")
    return Table(headings=headings, rows=tuple(rows))


def _row(name: str, connections: int, rounds: list[Result], ratio: str) -> tuple[str, ...]:
    return (
        name,
        str(connections),
        number(median([one.per_second for one in rounds])),
        number(median([one.p50_ms for one in rounds])),
        number(median([one.p99_ms for one in rounds])),
        number(median([one.cpu_us for one in rounds])),
        ratio,
    )


def _comparisons(results: Results, *, size_ratio: float, deep_ratio: float) -> Table:
    def cost(name: str) -> str:
        return number(median([one.cpu_us for one in results[name, MAIN_CONNECTIONS]]))

    return Table(
        headings=(f"pages at {MAIN_CONNECTIONS} connections", "CPU us/request", "against, CPU us/request", "ratio"),
        rows=(
            (
                f"from {LARGE.events:,} events, against {SMALL.events:,}",
                cost(_PAGE),
                cost(_SMALL_BOOK),
                f"{size_ratio:.2f}",
            ),
            (f"behind {DEEP_EVENTS} events, against the first", cost(_DEEP), cost(_FIRST), f"{deep_ratio:.2f}"),
        ),
    )
