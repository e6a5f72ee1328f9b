"""`GET /watch/v1/events`: what the parameters mean, what a page looks like, and for what a cursor is valid."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from stagebook.api.position_seal import PositionSeal
from stagebook.api.routes.api_input import read_query
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ApiCall, Role
from stagebook.api.watch.event_search_routes import (
    EventsDocument,
    SearchParameters,
    SearchRoutes,
)
from stagebook.api.watch.list_cursor import LIST_CURSOR_PURPOSE, ListCursors
from stagebook.history.composition_document import composition_event_document
from stagebook.history.event_document import event_document
from stagebook.history.event_query import EventQuery
from stagebook.history.search.event_search import SearchPage, search_events
from stagebook.stage.errors import InvalidInputError
from stagebook.stage.events import EventName
from tests.history.logged import ACCOUNT, STAGE_ARN, logged, of_composition


class Reader:
    """A caller that may read one stage."""

    name = "reader"

    def __init__(self, account_id: str = ACCOUNT) -> None:
        self.account_id = account_id
        self.required: list[tuple[str, Role, str | None]] = []

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        self.required.append((action, role, resource))


class RecordingHistory:
    """A history reader that notes the queries and returns one page for all."""

    def __init__(self, page: SearchPage) -> None:
        self._page = page
        self.queries: list[EventQuery] = []

    async def run(self, read: Any, query: Any) -> Any:  # noqa: ANN401 - the signature of the port is generic
        assert read is search_events
        self.queries.append(query)
        return self._page


@pytest.fixture
def history() -> RecordingHistory:
    return RecordingHistory(SearchPage(events=b"[]", next_position=77))


def routes(history: Any, *, secret: bytes = b"secret") -> SearchRoutes:  # noqa: ANN401 - a part of the port
    cursors = ListCursors(PositionSeal(secret=secret, purpose=LIST_CURSOR_PURPOSE))
    return SearchRoutes(history, cursors=cursors, region="us-west-2")


async def search(
    history: RecordingHistory, query: str = "", *, watcher: Reader | None = None, secret: bytes = b"secret"
) -> Mapping[str, Any]:
    call = ApiCall(
        caller=watcher or Reader(),
        path={},
        query=read_query(SearchParameters, query.encode()),
        body=None,
        headers={},
    )
    response = await routes(history, secret=secret).handle(call)
    assert response.status == 200
    document: Mapping[str, Any] = msgspec.json.decode(response.body)
    return document


async def test_without_parameters_the_newest_events_are_searched(history: RecordingHistory) -> None:
    await search(history)
    (query,) = history.queries
    assert (query.limit, query.oldest_first, query.after) == (50, False, None)
    assert query.where.account_id == ACCOUNT


async def test_each_parameter_is_a_part_of_the_query(history: RecordingHistory) -> None:
    await search(history, "name=LEFT&until=2023-11-14T22:13:20Z&order=asc&limit=1000")
    (query,) = history.queries
    assert query.where.names == {EventName.LEFT}
    assert query.where.until_ms == 1_700_000_000_000
    assert (query.limit, query.oldest_first) == (1_000, True)


@pytest.mark.parametrize("stage", [STAGE_ARN, STAGE_ARN.rpartition("/")[2]])
async def test_the_right_to_search_a_stage_is_required(history: RecordingHistory, stage: str) -> None:
    watcher = Reader()
    await search(history, f"stage={stage}", watcher=watcher)
    assert watcher.required == [("stagebook:SearchEvents", Role.READER, STAGE_ARN)]
    assert history.queries[0].where.stage_arn == STAGE_ARN


async def test_without_the_right_nothing_is_searched(history: RecordingHistory) -> None:
    class Stranger(Reader):
        def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
            raise ApiRefusedError(status=403, code=ApiProblemCode.FORBIDDEN, detail=f"{action} {role} {resource}")

    with pytest.raises(ApiRefusedError):
        await search(history, watcher=Stranger())
    assert history.queries == []


async def test_a_cursor_continues_its_query_with_another_limit(history: RecordingHistory) -> None:
    cursor = (await search(history, "name=LEFT&name=JOINED&limit=3"))["nextCursor"]
    await search(history, f"name=JOINED&name=LEFT&limit=5&cursor={cursor}")
    assert history.queries[1].after == 77


@pytest.mark.parametrize("other", ["", "name=LEFT", "name=JOINED&order=asc", "name=JOINED&until=1700000000"])
async def test_a_cursor_of_another_query_is_refused(history: RecordingHistory, other: str) -> None:
    cursor = (await search(history, "name=JOINED"))["nextCursor"]
    with pytest.raises(InvalidInputError, match="cursor: is not a cursor"):
        await search(history, f"{other}&cursor={cursor}".lstrip("&"))


async def test_a_cursor_of_another_account_or_server_is_refused(history: RecordingHistory) -> None:
    cursor = (await search(history))["nextCursor"]
    with pytest.raises(InvalidInputError, match="cursor"):
        await search(history, f"cursor={cursor}", watcher=Reader("999999999999"))
    with pytest.raises(InvalidInputError, match="cursor"):
        await search(history, f"cursor={cursor}", secret=b"another")


async def test_the_last_page_has_no_cursor() -> None:
    assert await search(RecordingHistory(SearchPage(events=b"[]", next_position=None))) == {"events": []}


async def test_the_response_is_the_documented_one() -> None:
    shown = EventsDocument(events=(event_document(logged()), composition_event_document(of_composition())))
    events = msgspec.json.encode(shown.events)
    document = await search(RecordingHistory(SearchPage(events=events, next_position=1)))
    assert document["events"] == msgspec.json.decode(events)
    assert set(document) == {"events", "nextCursor"}


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=0", "limit: Expected `int` >= 1"),
        ("limit=1001", "limit: Expected `int` <= 1000"),
        ("limit=all", "limit: "),
        ("order=newest", "order: Invalid enum value 'newest'"),
        ("until=soon", "until: Invalid RFC3339 encoded datetime"),
        ("cursor=" + "x" * 33, "cursor: Expected `str` of length <= 32"),
        ("cursor=", "cursor: Expected `str` of length >= 1"),
        ("page=2", "Object contains unknown field `page`"),
        ("limit=1&limit=2", "limit: may occur once only"),
    ],
)
async def test_a_wrong_parameter_is_named(history: RecordingHistory, query: str, detail: str) -> None:
    with pytest.raises(ApiRefusedError) as refused:
        await search(history, query)
    assert str(refused.value).startswith(detail)
