"""The ASGI application of the AWS API.

A request passes these steps in this order, which is the order in which AWS reports errors: route, access key, body,
signature, call rate, input validation, authorization, handler, serialization. The first two need the head only, so the
body of a client without a known access key is not received: the server discards it. Everything else is an exception,
and `__call__` is the one place that turns an exception into an error response.
"""

import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import TypeAlias

import structlog

from stagebook.api.access.local_hosts import LocalHosts
from stagebook.api.asgi import Header, Receive, Scope, Send
from stagebook.api.aws.access.browser_origins import CorsRules
from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.access.resource_access import Principal
from stagebook.api.aws.aws_errors import AwsError, ErrorType, aws_error_of
from stagebook.api.aws.operation import Call, Operation
from stagebook.api.aws.operation_router import OperationRoute, OperationRouter
from stagebook.api.aws.request_ids import RequestIds
from stagebook.api.aws.rest_json.error_response import error_response
from stagebook.api.aws.rest_json.header_members import read_headers
from stagebook.api.aws.rest_json.request_body import read_request_body
from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.api.aws.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.api.aws.sigv4.signature import SignatureVerifier
from stagebook.api.http_body import BodyReader, ClientDisconnectedError
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.error_traceback import drop_traceback
from stagebook.log_rate_limit import LogRateLimit
from stagebook.stage.clock import Clock, Randomness
from stagebook.stage.errors import StagebookError

Headers: TypeAlias = Mapping[bytes, bytes]

BODY_TIMEOUT_SECONDS = 20.0

_CONTENT_TYPE: Header = (b"content-type", b"application/json")
_log = structlog.get_logger(__name__)


class AwsApi:
    """An ASGI application that serves the given operations.

    `credentials` are the access keys that may sign requests. With `unsigned_as`, authentication is off: signatures are
    not verified, and every request is made by that credential; `unsigned_hosts` are the names of the server that are
    accepted then, besides IP addresses and local names. `allowed_origins` are the origins of the web pages that
    may call from a browser. `throttle` limits the call rates of each account; None does not limit them.

    An operation that the installed service model lacks is left out. Raises ValueError for a malformed origin.
    """

    def __init__(
        self,
        *,
        operations: Mapping[str, Operation],
        credentials: CredentialStore,
        clock: Clock,
        randomness: Randomness,
        region: str,
        allowed_origins: Iterable[str] = (),
        unsigned_as: AwsCredential | None = None,
        unsigned_hosts: Iterable[str] = (),
        throttle: Throttle | None = None,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
    ) -> None:
        model = load_service_model()
        self._router = OperationRouter(model, operations)
        self._verifier = SignatureVerifier(
            credentials=credentials, clock=clock, region=region, service=model.signing_name
        )
        self._principals = {
            credential.access_key_id: Principal(credential, region=region) for credential in credentials
        }
        self._unsigned_principal = Principal(unsigned_as, region=region) if unsigned_as is not None else None
        self._unsigned_hosts = LocalHosts(unsigned_hosts)
        self._throttle = throttle
        self._cors = CorsRules(allowed_origins)
        self._request_ids = RequestIds(randomness)
        self._bodies = BodyReader(timeout_seconds=body_timeout_seconds)
        self._log_limit = LogRateLimit(clock=time.monotonic)

    def serves(self, raw_path: bytes) -> bool:
        """Return whether an undecoded path belongs to an operation, with any method."""
        return bool(self._router.methods(raw_path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. The scope must have `raw_path`, because the signature is over the undecoded path."""
        request_id = self._request_ids.next_id()
        headers = read_headers(scope["headers"])
        try:
            # A preflight is sent by the browser itself, without a signature.
            if scope["method"] == "OPTIONS":
                response = self._preflight(scope, headers)
            else:
                response = await self._serve(scope, headers, receive)
        except ClientDisconnectedError:
            return
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes a response
            response = error_response(
                self._as_aws_error(error, scope, request_id),
                headers=self._cors.response_headers(headers, modelled=True),
            )
            drop_traceback(error)
        await send_response(send, response, extra_headers=(_CONTENT_TYPE, (b"x-amzn-requestid", request_id)))

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive) -> HttpResponse:
        raw_path: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        route, label = self._router.find(scope["method"], raw_path)
        principal = self._unsigned_principal
        if principal is not None:
            self._check_unsigned(headers)
            body = await read_request_body(self._bodies, receive)
        else:
            claim = self._verifier.read_claim(query=query, headers=headers)
            body = await read_request_body(self._bodies, receive)
            query = self._verifier.verify(
                claim, method=scope["method"], raw_path=raw_path, query=query, headers=headers, body=body
            )
            principal = self._principals[claim.context.credential.access_key_id]
        # After authentication, so that unauthenticated requests cannot use up the rate of an account.
        if self._throttle is not None:
            self._throttle.take(route.name, principal.caller.account_id)
        operation = route.operation
        if operation is None:
            raise AwsError(ErrorType.UNKNOWN_OPERATION, f"Stagebook does not have the operation {route.name} yet.")
        request = route.read_input(label, query, headers, body)
        # An optional ARN may be absent, or empty; then the call is about all resources.
        resource = request.get(operation.resource_member) if operation.resource_member else None
        principal.authorise(route.action, resource or principal.all_resources(route.name), route.find_arns(request))
        for member in operation.further_resource_members:
            principal.authorise(route.action, request[member], [])
        return HttpResponse(
            status=200,
            body=await _call_handler(route, operation, Call(caller=principal.caller, request=request)),
            headers=self._cors.response_headers(headers, modelled=route.has_modelled_headers),
        )

    def _as_aws_error(self, error: Exception, scope: Scope, request_id: bytes) -> AwsError:
        """Return the error to answer with. An unexpected exception is logged and hidden from the caller.

        A caller that has found such an exception can repeat it, so the lines about each type have a rate limit.
        """
        if isinstance(error, AwsError):
            return error
        if isinstance(error, StagebookError):
            aws_error = aws_error_of(error)
            if aws_error is not None:
                return aws_error
        if (more := self._log_limit.admit(type(error).__name__)) is not None:
            _log.error("aws_request_failed", path=scope["path"], request_id=request_id.decode(), exc_info=error, **more)
        return AwsError(ErrorType.INTERNAL_SERVER, "An unexpected error occurred; the server's log has its cause.")

    def _check_unsigned(self, headers: Headers) -> None:
        """Refuse requests of web pages, which could call without signatures from any browser on this machine.

        CORS alone hides only the response from a page of another origin: the call itself must be refused. A page whose
        own host name resolves to this machine (DNS rebinding) sends no Origin; it is recognised by its Host.
        """
        if not self._unsigned_hosts.allow(headers.get(b"host", b"")):
            raise AwsError(
                ErrorType.ACCESS_DENIED,
                "Without authentication, requests must name this server by an IP address, a local name or the host of "
                "public_url.",
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._cors.allows(origin):
            raise AwsError(ErrorType.ACCESS_DENIED, "Pages of this origin are not allowed to call.")

    def _preflight(self, scope: Scope, headers: Headers) -> HttpResponse:
        """Answer a CORS preflight. An OPTIONS request that is none gets the error of an unknown path or method."""
        methods = self._router.methods(scope["raw_path"])
        preflight = self._cors.preflight_headers(headers, methods) if methods else None
        if preflight is None:
            self._router.find(scope["method"], scope["raw_path"])
        return HttpResponse(status=200, headers=preflight or ())


async def _call_handler(route: OperationRoute, operation: Operation, call: Call) -> bytes:
    """Return the body of the response. Synchronous handlers and encoded bodies skip the steps they do not need."""
    result = operation.handle(call)
    if isinstance(result, bytes):
        return result
    if isinstance(result, Awaitable):
        result = await result
        if isinstance(result, bytes):
            return result
    return route.serialise(result)
