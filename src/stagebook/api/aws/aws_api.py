"""The ASGI application of the AWS API.

A request passes these steps in this order, which is the order in which AWS reports errors: route, access key, body,
signature, call rate, input validation, authorization, handler, serialization. The first two need the head only, so the
body of a client without a known access key is not received: the server discards it. Everything else is an exception,
and `__call__` is the one place that turns an exception into an error response.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from stagebook.api.access.local_hosts import LocalHosts
from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.api.access.sigv4.signature import SignatureVerifier
from stagebook.api.asgi import Receive, Scope, Send, read_headers
from stagebook.api.aws.access.browser_origins import CorsRules
from stagebook.api.aws.access.injected_faults import InjectedFaults
from stagebook.api.aws.access.resource_access import Principal
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.operation_calls import OperationCalls
from stagebook.api.aws.rest_json.error_response import error_response
from stagebook.api.aws.rest_json.request_body import read_request_body
from stagebook.api.connection_cut import ConnectionCutError, cut_connection, send_or_cut
from stagebook.api.http_body import BodyReader, ClientDisconnectedError
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.api.request_counts import OPERATION, PREFLIGHT, UNKNOWN_OPERATION, RequestCounts
from stagebook.stage.clock import Clock

Headers: TypeAlias = Mapping[bytes, bytes]

BODY_TIMEOUT_SECONDS = 20.0


class AwsApi:
    """An ASGI application that serves the operations of `calls`.

    `credentials` are the access keys that may sign requests. With `unsigned_as`, authentication is off: signatures are
    not verified, and every request is made by that credential; `unsigned_hosts` are the names of the server that are
    accepted then, besides IP addresses and local names. `allowed_origins` are the origins of the web pages that
    may call from a browser. `faults` are those that a test asks for. `requests` counts the requests, whose durations
    `monotonic` measures in seconds. Raises ValueError for a malformed origin.
    """

    def __init__(
        self,
        *,
        calls: OperationCalls,
        credentials: CredentialStore,
        clock: Clock,
        region: str,
        allowed_origins: Iterable[str] = (),
        unsigned_as: AwsCredential | None = None,
        unsigned_hosts: Iterable[str] = (),
        faults: InjectedFaults | None = None,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
        requests: RequestCounts | None = None,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._calls = calls
        self._router = calls.router
        self._verifier = SignatureVerifier(
            credentials=credentials, clock=clock, region=region, services=(calls.signing_name,)
        )
        self._principals: dict[str, Principal] = {}
        self._region = region
        self._unsigned_principal = Principal(unsigned_as.identity, region=region) if unsigned_as is not None else None
        self._unsigned_hosts = LocalHosts(unsigned_hosts)
        self._faults = faults
        self._cors = CorsRules(allowed_origins)
        self._bodies = BodyReader(timeout_seconds=body_timeout_seconds)
        self._requests = requests or RequestCounts("aws")
        self._monotonic = monotonic

    def serves(self, raw_path: bytes) -> bool:
        """Return whether an undecoded path belongs to an operation, with any method."""
        return bool(self._router.methods(raw_path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. The scope must have `raw_path`, because the signature is over the undecoded path."""
        started_at = self._monotonic()
        request_id, extra_headers = self._calls.begin()
        headers = read_headers(scope["headers"])
        try:
            # A preflight is sent by the browser itself, without a signature.
            if scope["method"] == "OPTIONS":
                scope[OPERATION] = PREFLIGHT
                response = self._preflight(scope, headers)
            else:
                response = await self._serve(scope, headers, receive)
        except ClientDisconnectedError:
            return
        except ConnectionCutError:
            await cut_connection(scope, receive)
            return
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes a response
            response = error_response(
                self._calls.as_aws_error(error, scope["path"], request_id),
                headers=self._cors.response_headers(headers, modelled=True),
            )
        seconds = self._monotonic() - started_at
        self._requests.observe(scope.get(OPERATION, UNKNOWN_OPERATION), response.status, seconds)
        if self._faults is None:
            await send_response(send, response, extra_headers=extra_headers)
        else:
            await send_or_cut(scope, receive, send, response, extra_headers=extra_headers)

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive) -> HttpResponse:
        raw_path: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        route, label = self._router.find(scope["method"], raw_path)
        scope[OPERATION] = route.name
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
            principal = self._principal_of(claim.context.credential)
        operation = self._calls.admit(route, principal)
        if self._faults is not None:
            operation = self._faults.apply(route, operation, principal, scope)
        request = route.read_input(label, query, headers, body)
        return HttpResponse(
            status=200,
            body=await self._calls.perform(route, operation, principal, request),
            headers=self._cors.response_headers(headers, modelled=route.has_modelled_headers),
        )

    def _principal_of(self, credential: AwsCredential) -> Principal:
        """Return the caller with a key. It is made at the first use: tests add keys to a running server."""
        principal = self._principals.get(credential.access_key_id)
        if principal is None:
            principal = Principal(credential.identity, region=self._region)
            self._principals[credential.access_key_id] = principal
        return principal

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
        """Answer a CORS preflight. Any other OPTIONS request gets the error of an unknown path or method."""
        methods = self._router.methods(scope["raw_path"])
        preflight = self._cors.preflight_headers(headers, methods) if methods else None
        if preflight is None:
            self._router.find(scope["method"], scope["raw_path"])
        return HttpResponse(status=200, headers=preflight or ())
