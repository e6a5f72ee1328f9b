"""The AWS door: the ASGI application that applications with an AWS SDK talk to.

It puts the parts of the wire in order: body, route, signature, rate, input, rights, handler, answer. It is the one
place where an exception becomes a response. It does not know what any operation does.
"""

from collections.abc import Awaitable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

import structlog

from stagebook.api.aws.access.browser_origins import CorsRules
from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.access.resource_access import Principal
from stagebook.api.aws.aws_errors import AwsError, ErrorType, aws_error_of
from stagebook.api.aws.operation import Call, Operation
from stagebook.api.aws.operation_router import Router
from stagebook.api.aws.request_ids import RequestIds
from stagebook.api.aws.rest_json.header_members import read_headers
from stagebook.api.aws.rest_json.http_response import Answer, Send, error_answer, send_answer
from stagebook.api.aws.rest_json.request_body import BodyReader, ClientGoneError, Receive
from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.api.aws.sigv4.credentials import Credential, Credentials
from stagebook.api.aws.sigv4.signature import SignatureVerifier
from stagebook.stage.clock import Clock, Randomness
from stagebook.stage.errors import StagebookError

Scope: TypeAlias = MutableMapping[str, Any]
Headers: TypeAlias = Mapping[bytes, bytes]

BODY_TIMEOUT_SECONDS = 20.0

_log = structlog.get_logger(__name__)


class AwsApi:
    """An ASGI application that serves the operations it is given.

    `credentials` are the keys that may sign. With `unsigned_as` no signature is asked for and every request counts as
    that credential's (authentication off). `allowed_origins` are the origins of web pages that may call; none by
    default. `throttle` holds back accounts that call too often; None lets all through. Raises ValueError for an
    operation the service model lacks or a malformed origin.
    """

    def __init__(
        self,
        *,
        operations: Mapping[str, Operation],
        credentials: Credentials,
        clock: Clock,
        randomness: Randomness,
        region: str,
        allowed_origins: Iterable[str] = (),
        unsigned_as: Credential | None = None,
        throttle: Throttle | None = None,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
    ) -> None:
        model = load_service_model()
        self._router = Router(model, operations)
        self._verifier = SignatureVerifier(
            credentials=credentials, clock=clock, region=region, service=model.signing_name
        )
        self._principals = {
            credential.access_key_id: Principal(credential, region=region) for credential in credentials
        }
        self._everyone = Principal(unsigned_as, region=region) if unsigned_as is not None else None
        self._throttle = throttle
        self._cors = CorsRules(allowed_origins)
        self._request_ids = RequestIds(randomness)
        self._bodies = BodyReader(timeout_seconds=body_timeout_seconds)

    def serves(self, raw_path: bytes) -> bool:
        """Return whether a path (as sent, undecoded) is an operation's, whatever the method."""
        return bool(self._router.methods(raw_path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. The scope needs `raw_path`."""
        request_id = self._request_ids.next_id()
        headers = read_headers(scope["headers"])
        try:
            body = await self._bodies.read(receive)
            if scope["method"] == "OPTIONS":
                answer = self._preflight(scope, headers)
            else:
                answer = await self._serve(scope, headers, body)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes a response
            answer = error_answer(
                _worded(error, scope, request_id), headers=self._cors.of_answer(headers, modelled=True)
            )
        await send_answer(send, answer, request_id=request_id)

    async def _serve(self, scope: Scope, headers: Headers, body: bytes) -> Answer:
        raw_path: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        route, label = self._router.find(scope["method"], raw_path)
        principal = self._authenticate(scope["method"], raw_path, query, headers, body)
        if self._throttle is not None:
            self._throttle.take(route.name, principal.caller.account_id)
        operation = route.operation
        if operation is None:
            raise AwsError(ErrorType.UNKNOWN_OPERATION, f"Stagebook does not have the operation {route.name} yet.")
        request = route.read(label, query, headers, body)
        resource = request.get(operation.resource_member) if operation.resource_member else None
        principal.authorise(route.action, resource or principal.every(route.name), route.find_arns(request))
        for member in operation.further_resource_members:
            principal.authorise(route.action, request[member], [])
        result = operation.handle(Call(caller=principal.caller, request=request))
        if not isinstance(result, bytes):
            if isinstance(result, Awaitable):
                result = await result
            if not isinstance(result, bytes):
                result = route.serialise(result)
        return Answer(
            status=200,
            body=result,
            headers=self._cors.of_answer(headers, modelled=route.answers_with_headers),
        )

    def _authenticate(self, method: str, raw_path: bytes, query: bytes, headers: Headers, body: bytes) -> Principal:
        if self._everyone is None:
            credential = self._verifier.verify(
                method=method, raw_path=raw_path, query=query, headers=headers, body=body
            )
            return self._principals[credential.access_key_id]
        origin = headers.get(b"origin")
        if origin is not None and not self._cors.allows(origin):
            # Without signatures nothing else keeps a web page that is open on this machine from calling.
            raise AwsError(ErrorType.ACCESS_DENIED, "Pages of this origin are not allowed to call.")
        return self._everyone

    def _preflight(self, scope: Scope, headers: Headers) -> Answer:
        methods = self._router.methods(scope["raw_path"])
        allowed = self._cors.of_preflight(headers, methods) if methods else None
        if allowed is None:
            self._router.find(scope["method"], scope["raw_path"])
        return Answer(status=200, body=b"", headers=allowed or ())


def _worded(error: Exception, scope: Scope, request_id: bytes) -> AwsError:
    if isinstance(error, AwsError):
        return error
    if isinstance(error, StagebookError):
        worded = aws_error_of(error)
        if worded is not None:
            return worded
    _log.error("aws_request_failed", path=scope["path"], request_id=request_id.decode(), exc_info=error)
    return AwsError(ErrorType.INTERNAL_SERVER, "An unexpected error occurred; the server's log has its cause.")
