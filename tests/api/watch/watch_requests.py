"""Requests to routes of the watch API over ASGI, with a history that is read in this process."""

import asyncio
import pickle
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, Concatenate

from stagebook.api.asgi import Scope
from stagebook.api.http_responses import HttpResponse
from stagebook.api.position_seal import PositionSeal
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ApiRoute, ReadBody, Role
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.watch.list_cursor import LIST_CURSOR_PURPOSE, ListCursors
from stagebook.history.history_files import HistoryFiles
from stagebook.history.history_reader import Parameters, Result
from tests.book.sample import ACCOUNT

CURSORS = ListCursors(PositionSeal(secret=bytes(32), purpose=LIST_CURSOR_PURPOSE))


class FixedClock:
    """Both clocks, standing still."""

    def __init__(self, time_ms: int) -> None:
        self._time_ms = time_ms

    def now_ms(self) -> int:
        return self._time_ms

    def monotonic_ms(self) -> int:
        return self._time_ms


class LocalHistory:
    """Runs reads at once. Their arguments and results are pickled, as they are between processes."""

    def __init__(self, files: HistoryFiles) -> None:
        self._files = files
        self.reads: list[str] = []

    async def run(
        self,
        read: Callable[Concatenate[HistoryFiles, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        self.reads.append(read.__name__)
        called, given, named = pickle.loads(pickle.dumps((read, args, kwargs)))  # noqa: S301 - its own
        result: Result = pickle.loads(pickle.dumps(called(self._files, *given, **named)))  # noqa: S301 - its own
        return result


class ReaderOf:
    """An access that lets everybody read one account."""

    def __init__(self, account_id: str = ACCOUNT) -> None:
        self.account_id = account_id
        self.name = "reader"
        self.required: list[tuple[str, str | None]] = []
        self.is_revoked = False

    async def authenticate(self, _scope: Scope, _read_body: ReadBody) -> "ReaderOf":
        return self

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        assert role is Role.READER
        self.required.append((action, resource))
        if self.is_revoked:
            raise ApiRefusedError(status=401, code=ApiProblemCode.UNAUTHENTICATED, detail="the key was revoked")


async def get(
    routes: Iterable[ApiRoute],
    path: str,
    *,
    access: ReaderOf,
    on_part: Callable[[bytes], None] = lambda _: None,
) -> HttpResponse:
    """Send a GET request; return the response. `on_part` is called with each part of its body when it is sent."""
    sent: list[MutableMapping[str, Any]] = []
    path, _, query = path.partition("?")

    async def receive() -> MutableMapping[str, Any]:
        if not sent:
            return {"type": "http.request", "body": b"", "more_body": False}
        return await _never()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)
        if "body" in message:
            on_part(message["body"])

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    await RouteApi(prefix="/watch/v1/", routes=routes, access=access)(scope, receive, send)
    body = b"".join(message["body"] for message in sent[1:])
    return HttpResponse(status=sent[0]["status"], headers=tuple(sent[0]["headers"]), body=body)


async def _never() -> MutableMapping[str, Any]:
    never: asyncio.Future[MutableMapping[str, Any]] = asyncio.get_running_loop().create_future()
    return await never
