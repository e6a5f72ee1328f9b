"""The operations for callers that have been authenticated: call rate, authorization, handler, and errors.

A signed request of an AWS client and an operator call of the watch API differ in how the caller is authenticated and
where the input is. Everything after that is done here, once.
"""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import structlog

from stagebook.api.access.policy import Identity
from stagebook.api.access.sigv4.authorization_header import SignatureRefusedError
from stagebook.api.asgi import Header
from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.access.resource_access import Principal
from stagebook.api.aws.aws_errors import AwsError, ErrorType, aws_error_of, internal_error
from stagebook.api.aws.operation import Call, Operation
from stagebook.api.aws.operation_router import OperationRoute, OperationRouter
from stagebook.api.aws.request_ids import RequestIds
from stagebook.api.aws.rest_json.error_response import error_response
from stagebook.api.aws.rest_json.json_document import decode_document
from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.api.http_responses import HttpResponse
from stagebook.error_traceback import drop_traceback
from stagebook.log_rate_limit import LogRateLimit
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import StagebookError

MAXIMUM_PRINCIPALS = 1_024

_CONTENT_TYPE: Header = (b"content-type", b"application/json")
_log = structlog.get_logger(__name__)


class OperationCalls:
    """Performs the given operations. `throttle` limits the call rates of each account; None does not limit them.

    An operation that the installed service model lacks is left out.
    """

    def __init__(
        self,
        operations: Mapping[str, Operation],
        *,
        region: str,
        randomness: Randomness,
        throttle: Throttle | None = None,
    ) -> None:
        model = load_service_model()
        self.signing_name = model.signing_name
        self.router = OperationRouter(model, operations)
        self._throttle = throttle
        self._request_ids = RequestIds(randomness)
        self._log_limit = LogRateLimit(clock=time.monotonic)
        self.principal_of = lru_cache(maxsize=MAXIMUM_PRINCIPALS)(lambda identity: Principal(identity, region=region))

    def begin(self) -> tuple[bytes, tuple[Header, ...]]:
        """Return the id of a new request, and the header fields that every response has."""
        request_id = self._request_ids.next_id()
        return request_id, (_CONTENT_TYPE, (b"x-amzn-requestid", request_id))

    def admit(self, route: OperationRoute, principal: Principal) -> Operation:
        """Count a call and return its operation. Raises AwsError: Throttling above the rate of the account, and
        UnknownOperation if Stagebook does not have the operation.

        Must be called after authentication, so that unauthenticated requests cannot use up the rate of an account.
        """
        if self._throttle is not None:
            self._throttle.take(route.name, principal.caller.account_id)
        if route.operation is None:
            raise AwsError(ErrorType.UNKNOWN_OPERATION, f"Stagebook does not have the operation {route.name} yet.")
        return route.operation

    async def perform(
        self, route: OperationRoute, operation: Operation, principal: Principal, request: Mapping[str, Any]
    ) -> bytes:
        """Authorise a validated input and pass it to its handler; return the JSON body of the response.

        An encoded body skips the step that it does not need.
        """
        # An optional ARN may be absent, or empty; then the call is about all resources.
        resource = request.get(operation.resource_member) if operation.resource_member else None
        principal.authorise(route.action, resource or principal.all_resources(route.name), route.find_arns(request))
        for member in operation.further_resource_members:
            principal.authorise(route.action, request[member], [])
        result = await operation.handle(Call(caller=principal.caller, request=request))
        return result if isinstance(result, bytes) else route.serialise(result)

    async def call(self, name: str, identity: Identity, document: bytes) -> HttpResponse:
        """Call an operation by its name, with all members of its input in one JSON object; return the response.

        Errors are responses as well. There is no response to the name of no operation: raises KeyError.
        """
        route = self.router.named(name)
        request_id, headers = self.begin()
        try:
            principal = self.principal_of(identity)
            operation = self.admit(route, principal)
            body = await self.perform(route, operation, principal, route.validate(decode_document(document)))
            return HttpResponse(status=200, headers=headers, body=body)
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes a response
            return error_response(self.as_aws_error(error, name, request_id), headers=headers)

    def as_aws_error(self, error: Exception, where: str, request_id: bytes) -> AwsError:
        """Return the error to answer with. An unexpected exception is logged and hidden from the caller.

        A caller that has found such an exception can repeat it, so the lines about each type have a rate limit. `where`
        is the path or the operation.
        """
        aws_error = None
        match error:
            case AwsError():
                aws_error = error
            case SignatureRefusedError():
                aws_error = AwsError(ErrorType(error.refusal.value), error.message)
            case StagebookError():
                aws_error = aws_error_of(error)
        if aws_error is None:
            if (more := self._log_limit.admit(type(error).__name__)) is not None:
                _log.error("aws_request_failed", path=where, request_id=request_id.decode(), exc_info=error, **more)
            aws_error = internal_error()
        drop_traceback(error)
        return aws_error
