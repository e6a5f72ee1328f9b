"""Fuzz targets of the watch API: whole requests with keys, cookies and bodies, and query parameters."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from stagebook.api.asgi import Message
from stagebook.api.routes.api_input import read_query
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.bearer_key import BearerKey, digest_of, id_of
from stagebook.api.watch.event_parameters import EventParameters, event_filter
from stagebook.server.http.request_decoder import RequestDecoder
from stagebook.server.http.request_head import HttpRequestError, RequestHead
from tests.api.aws.asgi_harness import STAGE_ARN
from tests.api.watch.access.access_harness import AccessHarness
from tests.api.watch.access.key_store import ACCOUNT_ID, REGION
from tests.fuzz.fuzz_target import FuzzTarget

KEY = f"sbk_{'a' * 10}_{'b' * 52}"
EXPECTED_LINES = {"watch authentication failed", "console sign-in", "console sign-out", "operator call"}


def check_watch_request(data: bytes) -> None:
    """A request has a response below 500, and one below 400 only with the key or the cookie of a session."""
    decoder = RequestDecoder()
    decoder.receive(data)
    head: RequestHead | None = None
    body = b""
    try:
        while (event := decoder.next_event()) is not None:
            if isinstance(event, RequestHead):
                head = event
            else:
                body += event.data
    except HttpRequestError:
        return
    if head is None:
        return
    with capture_logs() as logs:
        status = _LOOP.run_until_complete(_status_of(head, body))
    assert status < 500
    assert status >= 400 or KEY.encode() in data or _COOKIE.encode() in data
    assert {line["event"] for line in logs} <= EXPECTED_LINES
    assert "b" * 52 not in str(logs)


async def _status_of(head: RequestHead, body: bytes) -> int:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": head.method,
        "path": head.raw_path.decode("latin-1"),
        "raw_path": head.raw_path,
        "query_string": head.query,
        "headers": list(head.headers),
        "client": ("192.0.2.1", 1),
    }
    await _HARNESS.api(scope, receive, send)
    return int(sent[0]["status"])


def check_watch_query(data: bytes) -> None:
    """Query parameters are refused, or they are a filter of one account."""
    try:
        parameters = read_query(EventParameters, data)
    except ApiRefusedError as error:
        assert error.status == 400
        assert error.detail
        return
    assert event_filter(parameters, account_id=ACCOUNT_ID, region=REGION).account_id == ACCOUNT_ID


def _harness() -> AccessHarness:
    """Return the API with one key, which is the same in each process."""
    harness = AccessHarness()
    key = BearerKey(
        key_id=id_of(KEY) or "", digest=digest_of(KEY), role=Role.OPERATOR, account_id=ACCOUNT_ID, created_ms=0
    )
    harness.store.keys.append(key)
    return harness


def _wire(line: str, *fields: str, body: str = "") -> bytes:
    """Return a request as a client sends it."""
    lines = [f"{line} HTTP/1.1", "host: 127.0.0.1:8080", f"content-length: {len(body)}", *fields, "", body]
    return "\r\n".join(lines).encode()


_LOOP = asyncio.new_event_loop()
_HARNESS = _harness()
with capture_logs():
    _COOKIE = _LOOP.run_until_complete(_HARNESS.sign_in(KEY))
_CONSOLE = ("x-stagebook-console: 1", "origin: http://127.0.0.1:8080")
_GET_STAGE = "POST /watch/v1/operations/GetStage"

TARGETS = (
    FuzzTarget(
        name="watch-request",
        check=check_watch_request,
        max_size_bytes=16_384,
        seeds=(
            _wire("GET /watch/v1/me", f"authorization: Bearer {KEY}"),
            _wire("GET /watch/v1/me", f"cookie: a=1; {_COOKIE}"),
            _wire("POST /watch/v1/sign-in", *_CONSOLE, body=f'{{"key": "{KEY}"}}'),
            _wire(_GET_STAGE, f"cookie: {_COOKIE}", *_CONSOLE, body=f'{{"arn": "{STAGE_ARN}"}}'),
            _wire(_GET_STAGE, "authorization: AWS4-HMAC-SHA256 Credential=A/20230426/us-west-2/stagebook/aws4_request"),
        ),
        operations_per_input=50_000,
    ),
    FuzzTarget(
        name="watch-query",
        check=check_watch_query,
        max_size_bytes=8_192,
        seeds=(
            b"name=JOINED&name=LEFT&error=any&user=a%20b",
            b"stage=arn%3Aaws%3Aivs%3Aus-west-2%3A123456789012%3Astage%2FabcdABCDefgh&since=2026-11-28T12:00:00Z",
        ),
    ),
)
