"""POST /watch/v1/operations/{operation}: an operation of the AWS API, with the access of the watch API.

The body is the input of the operation as one JSON object, also for members that the AWS protocol has in the path or in
the query. The response is that of the AWS API: its output or its error, with its status. Validation, policy, call rate
and handler are those of a signed call (`api/aws/operation_calls.py`). The console is built on this.

Role reader calls Get and List operations, except GetIngestConfiguration, which returns a stream key.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec
import structlog

from stagebook.api.access.policy import Identity
from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, Role
from stagebook.api.watch.access.authenticated import facts_of
from stagebook.log_rate_limit import LogRateLimit

CallOperation: TypeAlias = Callable[[str, Identity, bytes], Awaitable[HttpResponse]]
"""Calls an operation by its name, for an authenticated caller, with the JSON of its input."""

_READING = ("Get", "List")
_REFUSED = 400
_log = structlog.get_logger(__name__)


class OperationErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an error of the AWS API. Its name is in the header field `x-amzn-errortype`."""

    message: str


class OperatorCalls:
    """The route of operator calls. `names` are the names of all operations."""

    def __init__(self, call_operation: CallOperation, *, names: Sequence[str]) -> None:
        self._call_operation = call_operation
        self._names = frozenset(names)
        self._log_limit = LogRateLimit(clock=time.monotonic)

    def routes(self) -> list[ApiRoute]:
        """Return the route."""
        return [
            ApiRoute(
                method="POST",
                template="/watch/v1/operations/{operation}",
                action="CallOperation",
                summary="Call an operation of the AWS API",
                handle=self._call,
                body=msgspec.Raw,
                path_values={"operation": tuple(sorted(self._names))},
                error=OperationErrorBody,
            )
        ]

    async def _call(self, call: ApiCall) -> ApiResponse:
        call.caller.require("stagebook:CallOperation", Role.READER)
        name = call.path["operation"]
        if name not in self._names:
            raise ApiRefusedError(status=404, code=ApiProblemCode.NOT_FOUND, detail="there is no such operation")
        response = await self._call_operation(name, facts_of(call.caller).identity, bytes(call.body))
        if not name.startswith(_READING):
            self._log_change(name, call, response.status)
        return response

    def _log_change(self, operation: str, call: ApiCall, status: int) -> None:
        """Log a call. Those that were refused have a limit: a reader can make them at will."""
        more = self._log_limit.admit("refused") if status >= _REFUSED else {}
        if more is not None:
            caller, account_id = call.caller.name, call.caller.account_id
            _log.info("operator call", operation=operation, caller=caller, account_id=account_id, status=status, **more)
