"""Sends requests over one kept connection, within the pace, and repeats those that the server throttled."""

import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from stagebook.conformance.check_outcomes import CheckFailedError, CheckSkippedError
from stagebook.conformance.wire.call_pace import CallPace
from stagebook.conformance.wire.request_writer import HttpRequest, Signature, signed_request, unsigned_request
from stagebook.conformance.wire.wire_answer import WireAnswer

TIMEOUT_SECONDS = 30
THROTTLING_CODES = frozenset({"ThrottlingException", "TooManyRequestsException", "Throttling"})
MAX_ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.5


Prepare: TypeAlias = Callable[[], AWSRequest]


class UnreachableError(Exception):
    """No server answers at the endpoint."""


class WireClient:
    """The connection to the server. `signature` is used for all calls that do not bring their own."""

    def __init__(self, *, endpoint_url: str, signature: Signature, pace: CallPace) -> None:
        self.endpoint_url = endpoint_url.rstrip("/")
        self.signature = signature
        self.pace = pace
        # botocore sends headers and body apart. Without this option the body waits 40 ms for an acknowledgement.
        # Typed as Any, because the stubs say that the options are texts.
        options: Any = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        self._session = URLLib3Session(timeout=TIMEOUT_SECONDS, socket_options=options)

    def send(self, request: HttpRequest, *, signature: Signature | None = None, counts: bool = True) -> WireAnswer:
        """Sign a request and return the answer. `counts=False` leaves the budget alone."""
        with_signature = signature or self.signature
        # Signed again for each attempt: a signature is valid for a few minutes.
        return self._repeat(
            request, lambda: signed_request(request, with_signature, endpoint_url=self.endpoint_url), counts=counts
        )

    def send_unsigned(self, request: HttpRequest) -> WireAnswer:
        """Send a request as it is and return the answer."""
        return self._repeat(request, lambda: unsigned_request(request, endpoint_url=self.endpoint_url))

    def send_prepared(self, request: HttpRequest, prepared: AWSRequest) -> WireAnswer:
        """Send a request that was signed, or changed after it was signed, and return the answer."""
        return self._repeat(request, lambda: prepared)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _repeat(self, request: HttpRequest, prepare: Prepare, *, counts: bool = True) -> WireAnswer:
        for attempt in range(MAX_ATTEMPTS):
            if counts:
                self.pace.take(request.operation)
            else:
                self.pace.wait(request.operation)
            answer = self._exchange(request, prepare())
            if answer.status != 429 and answer.error_code not in THROTTLING_CODES:
                return answer
            self.pace.pause(FIRST_PAUSE_SECONDS * 2**attempt)
        raise CheckSkippedError(f"the server throttled {request.operation} {MAX_ATTEMPTS} times")

    def _exchange(self, request: HttpRequest, prepared: AWSRequest) -> WireAnswer:
        try:
            response = self._session.send(prepared.prepare())
        except BotoCoreError as error:
            if self.pace.calls <= 1:
                raise UnreachableError(f"{self.endpoint_url} does not answer: {error}") from error
            raise CheckFailedError(expected="an answer", got=str(error)) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        body: bytes = response.content
        # botocore does not compare them, so a connection that was cut would look like a short answer.
        if headers.get("content-length", str(len(body))) != str(len(body)):
            raise CheckFailedError(expected=f"{headers['content-length']} bytes of body", got=f"{len(body)} bytes")
        return WireAnswer(operation=request.operation, status=response.status_code, headers=headers, body=body)
