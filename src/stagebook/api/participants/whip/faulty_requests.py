"""Faults of the participants API that a test asks for, in a testing server: of its HTTP requests, not of websockets.

They are taken before the token is read, so they are for the requests of all accounts. The errors are those of the
server itself: too many attempts, a token that has expired, an unexpected failure.
"""

from collections.abc import Awaitable, Callable

from stagebook.api.asgi import Scope
from stagebook.api.connection_cut import ANSWER_FAULT, ConnectionCutError
from stagebook.api.fault_table import FaultKind, FaultTable
from stagebook.api.http_responses import HttpResponse
from stagebook.api.participants.request_limits import too_many_requests
from stagebook.api.request_counts import OPERATION
from stagebook.stage.errors import TokenRefusal, TokenRefusedError

WHIP_OPERATIONS = ("EndConnection", "ListLayers", "PatchConnection", "Publish", "SelectLayer", "Subscribe")
"""The requests that can have a fault, by the names that metrics have for them."""


class InjectedFailureError(Exception):
    """A request is to fail as by an unexpected error, which is not logged."""


class FaultyRequests:
    """Applies the faults of `table` to requests."""

    def __init__(self, table: FaultTable) -> None:
        self._table = table

    async def perform(self, scope: Scope, handle: Callable[[], Awaitable[HttpResponse]]) -> HttpResponse:
        """Return the response of `handle`, unless a fault is set for the operation of the scope.

        A fault of the answer is noted in the scope. Raises RequestRefusedError, TokenRefusedError,
        InjectedFailureError or ConnectionCutError for another one.
        """
        fault = self._table.take_named(scope[OPERATION])
        match None if fault is None else fault.kind:
            case FaultKind.THROTTLING:
                raise too_many_requests("too many attempts with this token")
            case FaultKind.ACCESS_DENIED:
                raise TokenRefusedError(refusal=TokenRefusal.EXPIRED, detail="the token has expired")
            case FaultKind.INTERNAL_ERROR:
                raise InjectedFailureError
            case FaultKind.CUT:
                raise ConnectionCutError
            case FaultKind.LOSE_ANSWER | FaultKind.CUT_ANSWER as kind:
                scope[ANSWER_FAULT] = kind
        if fault is None or fault.kind is not FaultKind.SLOW:
            return await handle()
        try:
            return await handle()
        finally:
            await self._table.delay(fault.seconds)
