"""What a caller of the AWS API sends: the signature, the input of an operation, page tokens, and whole requests."""

import asyncio
import json
from urllib.parse import quote

import msgspec
from structlog.testing import capture_logs

from stagebook.api.access.sigv4.authorization_header import (
    MAXIMUM_SIGNED_HEADERS,
    SignatureRefusedError,
    parse_authorization,
)
from stagebook.api.access.sigv4.canonical_request import canonical_path, canonical_query
from stagebook.api.asgi import read_headers
from stagebook.api.aws.aws_errors import STATUSES, AwsError
from stagebook.api.aws.operation import Call, Caller
from stagebook.api.aws.page_token import PageTokens
from stagebook.api.aws.rest_json.operation_input import ReadInput, compile_input_reader
from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.api.aws.rest_json.validation import compile_input
from stagebook.server.http.request_decoder import RequestDecoder
from stagebook.server.http.request_head import HttpRequestError, RequestHead
from stagebook.stage.errors import InvalidInputError
from tests.api.access.sigv4.signing import FULL_REQUEST, new_verifier
from tests.api.aws.asgi_harness import STAGE_ARN, Request, credential, new_api, operations, send_request, signed_call
from tests.api.aws.model_rules import OPERATIONS, conforms, valid
from tests.fuzz.fuzz_target import FuzzTarget

_VERIFIER = new_verifier()
_NAMES = sorted(OPERATIONS)
_MODEL = load_service_model()
_READERS: dict[str, ReadInput] = {
    name: compile_input_reader(_MODEL.operations[name], compile_input(_MODEL.operations[name].input)) for name in _NAMES
}
_TOKENS = PageTokens(secret=b"a secret of the server")
_CALLER = Caller(access_key_id="AKIDEXAMPLE", account_id="123456789012", arn="arn")
_SIGNED_API = new_api(operations(**{name: (None, lambda _call: b"{}") for name in _NAMES}))
_UNSIGNED_API = new_api(
    operations(**{name: (None, lambda _call: b"{}") for name in _NAMES}),
    unsigned_as=credential(),
    allowed_origins=["*"],
)


def check_signature(data: bytes) -> None:
    """The header fields of a signature are refused, unless they are those of the signed request.

    The input has one field a line: Authorization, X-Amz-Date, X-Amz-Security-Token and the query.
    """
    authorization, date, token, query = [*data.split(b"\n", 3), b"", b"", b""][:4]
    assert canonical_query(canonical_query(query)) == canonical_query(query)
    canonical_path(query[:200])
    headers = read_headers(FULL_REQUEST.headers)
    headers |= {b"authorization": authorization, b"x-amz-date": date, b"x-amz-security-token": token}
    try:
        parsed = parse_authorization(authorization)
        assert len(parsed.signed_headers) <= MAXIMUM_SIGNED_HEADERS
        assert parsed.scope in authorization
        claim = _VERIFIER.read_claim(query=query, headers=headers)
        _VERIFIER.verify(claim, method="GET", raw_path=b"/", query=query, headers=headers, body=b"")
    except SignatureRefusedError as error:
        assert error.message
        return
    raise AssertionError("a request that nobody signed was accepted")


def check_operation_input(data: bytes) -> None:
    """An input is refused with a named member, or it conforms to the service model.

    The first byte is the number of the operation, the first two lines are the path label and the query, and the rest is
    the body.
    """
    name = _NAMES[int.from_bytes(data[:1]) % len(_NAMES)]
    label, query, body = [*data[1:].split(b"\n", 2), b"", b""][:3]
    try:
        request = _READERS[name](label, query, {}, body)
    except InvalidInputError as refused:
        assert refused.rule
        return
    except AwsError as error:
        assert error.status in (400, 415)
        return
    assert conforms(OPERATIONS[name]["input"]["shape"], request)


def check_page_token(data: bytes) -> None:
    """A page token is refused with InvalidInputError, unless the server made it for the same call."""
    token = data.decode("utf-8", "replace")
    call = Call(caller=_CALLER, request={"stageArn": STAGE_ARN, "nextToken": token})
    try:
        position = _TOKENS.open("ListStageSessions", call)
    except InvalidInputError as refused:
        assert refused.member == "nextToken"
        return
    assert not token or _TOKENS.seal("ListStageSessions", call, position) == token


def check_request(data: bytes) -> None:
    """Whole requests, signed or not, have responses that the service model declares, and nothing to log."""
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
    request = Request(
        method=head.method, raw_path=head.raw_path, query=head.query, headers=tuple(head.headers), body=body
    )
    with capture_logs() as logs:
        _LOOP.run_until_complete(_check_responses(request))
    assert not logs


async def _check_responses(request: Request) -> None:
    for api in (_SIGNED_API, _UNSIGNED_API):
        response = await send_request(api, request)
        if response.status in (200, 204):
            assert api is _UNSIGNED_API or request.method == "OPTIONS" or _has_signature(request)
            continue
        assert response.status < 500
        assert response.status in {status for error, status in STATUSES.items() if error == response.error}
        assert response.message


def _has_signature(request: Request) -> bool:
    """Return whether a request has the signature and the body of the one that was signed."""
    made, signed = (parse_authorization(each.header_map.get(b"authorization", b"")) for each in (request, _SIGNED_CALL))
    return made == signed and request.body == _SIGNED_CALL.body


def _wire(request: Request) -> bytes:
    """Return a request as a client sends it."""
    lines = [f"{request.method} ".encode() + request.raw_path + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in request.headers if name != b"content-length"]
    lines += [f"content-length: {len(request.body)}".encode(), b"", request.body]
    return b"\r\n".join(lines)


def _operation_inputs() -> tuple[bytes, ...]:
    """Return an input with every member for each operation."""
    inputs = []
    for number, name in enumerate(_NAMES):
        document = valid(OPERATIONS[name]["input"]["shape"])
        label = quote(str(document.get("resourceArn", "")), safe="").encode()
        inputs.append(bytes([number]) + label + b"\ntagKeys=a&tagKeys=b%20c\n" + json.dumps(document).encode())
    return tuple(inputs)


_LOOP = asyncio.new_event_loop()
_SIGNED_CALL = signed_call("GetStage", {"arn": STAGE_ARN})
_SIGNATURE = b"\n".join(
    (*(FULL_REQUEST.header_map[name] for name in (b"authorization", b"x-amz-date", b"x-amz-security-token")), b"a=b+c")
)
_PAGE = _TOKENS.seal("ListStageSessions", Call(caller=_CALLER, request={"stageArn": STAGE_ARN}), 4_711) or ""
_OTHER_HOST = msgspec.structs.replace(_SIGNED_CALL, raw_path=b"/ListStages", headers=((b"host", b"evil.example"),))

TARGETS = (
    FuzzTarget(name="sigv4", check=check_signature, max_size_bytes=8_192, seeds=(_SIGNATURE,)),
    FuzzTarget(
        name="operation-input",
        check=check_operation_input,
        max_size_bytes=16_384,
        seeds=_operation_inputs(),
    ),
    FuzzTarget(name="page-token", check=check_page_token, max_size_bytes=1_100, seeds=(_PAGE.encode(),)),
    FuzzTarget(
        name="aws-request",
        check=check_request,
        max_size_bytes=16_384,
        seeds=(_wire(_SIGNED_CALL), _wire(FULL_REQUEST), _wire(_OTHER_HOST)),
        operations_per_input=50_000,
    ),
)
