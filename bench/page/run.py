"""The part `page`: several rounds over all servers in turn, so that other load affects every server alike."""

from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from bench.figures import median
from bench.page.books import LARGE, SMALL
from bench.page.load_generator import Result
from bench.page.measured_servers import DEEP_EVENTS, MeasuredServer, prepare_book, serving_book, serving_static
from bench.report import Part, Table, Target, number

ROUNDS = 5
SECONDS = 1.5
MAIN_CONNECTIONS = 16
OTHER_CONNECTIONS = (1, 64)
TARGET_STATIC_RATIO = 3.3
TARGET_SIZE_RATIO = 1.2

_PAGE, _STATIC = "page", "static response"
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
        results = _measure_rounds(large, small, static)
    return _report(results, requests=len(large.mixed_pages))


def _measure_rounds(large: MeasuredServer, small: MeasuredServer, static: MeasuredServer) -> Results:
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
        for name, server, requests, connections in turns:
            results[name, connections].append(server.load(requests, connections=connections, seconds=SECONDS))
    return results


def _report(results: Results, *, requests: int) -> Part:
    main_ratio = _ratio(results, _PAGE, _STATIC, MAIN_CONNECTIONS)
    size_ratio = _ratio(results, _PAGE, _SMALL_BOOK, MAIN_CONNECTIONS)
    deep_ratio = _ratio(results, _DEEP, _FIRST, MAIN_CONNECTIONS)
    return Part(
        title="ListParticipantEvents",
        method=(
            f"Pages of 50 events from a book of {LARGE.events:,} events. {requests} different requests, signed by "
            f"boto3, are sent in rotation: half for first pages, half for pages after {DEEP_EVENTS} newer events. The "
            "contents of every page are checked before the measurement. Each keep-alive connection sends its next "
            "request after a response. CPU is user and system time of the server process. The static response comes "
            "from the same HTTP server with an application that sends the same bytes and does nothing else. Figures "
            f"are medians of {ROUNDS} rounds of {SECONDS} s with all rows in turn; ratios are medians of the ratios of "
            "the rounds."
        ),
        tables=(_table(results), _comparisons(results, size_ratio=size_ratio, deep_ratio=deep_ratio)),
        targets=(
            Target(
                what="page, CPU relative to the static response",
                measured=main_ratio,
                at_most=TARGET_STATIC_RATIO,
                unit="x",
            ),
            Target(
                what="page, CPU of the large book relative to the small one",
                measured=size_ratio,
                at_most=TARGET_SIZE_RATIO,
                unit="x",
            ),
            Target(
                what="deep page, CPU relative to a first page", measured=deep_ratio, at_most=TARGET_SIZE_RATIO, unit="x"
            ),
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
    headings = ("response", "connections", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "times static")
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
        headings=(
            f"pages at {MAIN_CONNECTIONS} connections",
            "CPU us/request",
            "compared with, CPU us/request",
            "ratio",
        ),
        rows=(
            (
                f"book of {LARGE.events:,} events, compared with {SMALL.events:,}",
                cost(_PAGE),
                cost(_SMALL_BOOK),
                f"{size_ratio:.2f}",
            ),
            (
                f"after {DEEP_EVENTS} newer events, compared with first pages",
                cost(_DEEP),
                cost(_FIRST),
                f"{deep_ratio:.2f}",
            ),
        ),
    )
