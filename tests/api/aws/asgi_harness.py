"""An AwsApi with a fixed clock, requests signed by botocore, and an ASGI client that returns the response."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from stagebook.api.access.policy import ALLOW_EVERYTHING, Policy
from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.api.asgi import Message
from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.access.injected_faults import InjectedFaults
from stagebook.api.aws.aws_api import AwsApi
from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.operation_calls import OperationCalls
from stagebook.api.fault_table import FaultTable
from stagebook.api.request_counts import RequestCounts
from tests.api.aws.model_rules import Json

REGION = "us-west-2"
ACCOUNT = "123456789012"
STAGE_ARN = f"arn:aws:ivs:{REGION}:{ACCOUNT}:stage/abcdABCDefgh"
HOST = "127.0.0.1:8080"
KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime(2023, 4, 26, 20, 36, 28, tzinfo=UTC)


class FixedClock:
    """A clock that tests set."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.time_ms = int(moment.timestamp() * 1_000)

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_ms(self) -> int:
        return self.time_ms


class CountingRandomness:
    """The bytes 0, 1, 2, ..."""

    def token_bytes(self, size_bytes: int) -> bytes:
        return bytes(range(size_bytes))


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request as an ASGI server passes it to an application."""

    method: str
    raw_path: bytes
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    @property
    def header_map(self) -> dict[bytes, bytes]:
        return dict(self.headers)


class ReceivedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP response as a client gets it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.headers["x-amzn-errortype"]

    @property
    def message(self) -> str:
        text = self.json["message"]
        assert text == self.json["exceptionMessage"]
        return str(text)


def credential(*, policy: Policy = ALLOW_EVERYTHING, key_id: str = KEY_ID, account_id: str = ACCOUNT) -> AwsCredential:
    return AwsCredential(access_key_id=key_id, secret_access_key=SECRET, account_id=account_id, policy=policy)


def signed(
    method: str,
    url_path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    key_id: str = KEY_ID,
    secret: str = SECRET,
    token: str | None = None,
    region: str = REGION,
    service: str = "ivs",
    moment: datetime = NOW,
    host: str = HOST,
) -> Request:
    """Return a request signed by botocore. `url_path` is the undecoded path and query."""
    request = AWSRequest(method=method, url=f"http://{host}{url_path}", data=body, headers=dict(headers or {}))
    with patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        SigV4Auth(BotocoreCredentials(key_id, secret, token), service, region).add_auth(request)
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.items()]
    split = urlsplit(str(request.url))
    return Request(
        method=method,
        raw_path=split.path.encode(),
        query=split.query.encode(),
        headers=(*lines, (b"host", host.encode())),
        body=body,
    )


def signed_call(operation: str, document: object = None, *, key_id: str = KEY_ID, secret: str = SECRET) -> Request:
    """Return a signed `POST /<operation>` with a JSON body."""
    body = b"{}" if document is None else json.dumps(document).encode()
    headers = {"Content-Type": "application/json"}
    return signed("POST", f"/{operation}", body=body, headers=headers, key_id=key_id, secret=secret)


def unsigned(
    path: str, *, method: str = "POST", body: bytes = b"", headers: Mapping[bytes, bytes] | None = None
) -> Request:
    """Return an unsigned request."""
    return Request(method=method, raw_path=path.encode(), body=body, headers=tuple((headers or {}).items()))


def operations(**handlers: tuple[str | None, Callable[[Call], Result | Awaitable[Result]]]) -> dict[str, Operation]:
    """Return operations by name, each made of its resource member and a function, which may be asynchronous."""
    return {
        name: Operation(name=name, resource_member=member, handle=partial(_handle, function))
        for name, (member, function) in handlers.items()
    }


async def _handle(function: Callable[[Call], Result | Awaitable[Result]], call: Call) -> Result:
    result = function(call)
    return await result if isinstance(result, Awaitable) else result


def new_calls(
    operations_served: Mapping[str, Operation] | None = None, *, throttle: Throttle | None = None
) -> OperationCalls:
    """Return the calls of the given operations; by default, of a GetStage that returns the ARN it gets."""
    return OperationCalls(
        operations(GetStage=("arn", lambda call: {"stage": {"arn": call.request["arn"]}}))
        if operations_served is None
        else operations_served,
        region=REGION,
        randomness=CountingRandomness(),
        throttle=throttle,
    )


def new_api(
    operations_served: Mapping[str, Operation] | None = None,
    *,
    credentials: Iterable[AwsCredential] | None = None,
    clock: FixedClock | None = None,
    allowed_origins: Iterable[str] = (),
    unsigned_as: AwsCredential | None = None,
    unsigned_hosts: Iterable[str] = (),
    throttle: Throttle | None = None,
    body_timeout_seconds: float = 60.0,
    requests: RequestCounts | None = None,
    faults: FaultTable | None = None,
) -> AwsApi:
    """Return an API with the given operations; by default, with a GetStage that returns the ARN it gets."""
    return AwsApi(
        calls=new_calls(operations_served, throttle=throttle),
        credentials=CredentialStore([credential()] if credentials is None else credentials),
        clock=clock or FixedClock(),
        region=REGION,
        allowed_origins=allowed_origins,
        unsigned_as=unsigned_as,
        unsigned_hosts=unsigned_hosts,
        body_timeout_seconds=body_timeout_seconds,
        requests=requests,
        faults=None if faults is None else InjectedFaults(faults),
    )


async def send_request(api: AwsApi, request: Request, *, chunks: Iterable[Message] | None = None) -> ReceivedResponse:
    """Send a request and return the response; AssertionError unless it is two ASGI messages in order."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await api(scope_of(request), receiver(request, chunks), send)
    start, body = sent
    assert start["type"] == "http.response.start"
    assert body["type"] == "http.response.body"
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert len(headers) == len(start["headers"]), "a header was sent twice"
    assert headers["content-length"] == str(len(body["body"]))
    return ReceivedResponse(status=start["status"], headers=headers, body=body["body"])


def scope_of(request: Request) -> dict[str, Any]:
    """Return the ASGI scope of a request."""
    return {
        "type": "http",
        "method": request.method,
        "path": request.raw_path.decode("latin-1"),
        "raw_path": request.raw_path,
        "query_string": request.query,
        "headers": list(request.headers),
    }


def receiver(request: Request, chunks: Iterable[Message] | None = None) -> Callable[[], Any]:
    """Return an ASGI `receive` that returns the body of the request, or `chunks`, and then waits for ever."""
    whole: Message = {"type": "http.request", "body": request.body, "more_body": False}
    messages = iter([whole] if chunks is None else chunks)

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    return receive


GET_STAGE = signed_call("GetStage", {"arn": STAGE_ARN})
"""A call that `new_api` answers with 200."""

MODELLED_HEADER_NAMES = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
}
"""The header fields that the service model gives every error and some outputs."""
