"""The account that a request is for, from its head or its body, and requests that any node serves."""

import base64
import json

import pytest

from stagebook.api.access.sigv4.credentials import CredentialStore
from stagebook.api.asgi import Scope
from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.api.watch.access.session_cookie import SessionCookie
from stagebook.cluster.request_account import RequestAccounts, token_account
from tests.cluster.cluster_harness import ACCOUNT, KEY, OTHER_ACCOUNT

BEARER = "sbk_abcdefghij_" + "a" * 52
BEARER_KEY = BearerKey(key_id="abcdefghij", digest="0" * 64, role=Role.READER, account_id=OTHER_ACCOUNT, created_ms=0)
SIGNATURE = f"AWS4-HMAC-SHA256 SignedHeaders=host, Credential={KEY.access_key_id}/20261129/us-west-2/ivs/aws4_request"
ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/abcdABCDefgh"
ROOM_EVENT = {"event": "participant_joined", "room": {"name": f"sb.{ACCOUNT}.source", "sid": "x"}, "id": "1"}


def accounts(*, open_account_id: str | None = None) -> RequestAccounts:
    return RequestAccounts(
        credentials=CredentialStore([KEY]),
        find_bearer_key=lambda text: BEARER_KEY if text == BEARER else None,
        cookie=SessionCookie("https://stages.example.com"),
        find_operation=lambda _method, path: None if path == b"/nothing" else path.decode().strip("/"),
        open_account_id=open_account_id,
    )


def token(**payload: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip('=')}.c2ln"


def http(path: str, *, method: str = "POST", **headers: str) -> Scope:
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": fields}


def websocket(*offered: str) -> Scope:
    return {"type": "websocket", "path": "/events/x", "subprotocols": list(offered), "headers": []}


@pytest.mark.parametrize(
    ("scope", "account_id"),
    [
        (http("/CreateStage", authorization=SIGNATURE), ACCOUNT),
        (http("/GetIngestConfiguration", authorization=SIGNATURE), ACCOUNT),
        (http("/watch/v1/events", authorization=SIGNATURE), ACCOUNT),
        (http("/watch/v1/events", authorization=f"bearer {BEARER}"), OTHER_ACCOUNT),
        (http("/watch/v1/events", cookie=f"a=b; __Host-stagebook={OTHER_ACCOUNT}.{'0' * 64}"), OTHER_ACCOUNT),
        (http("/whip", authorization=f"Bearer {token(resource=ARN)}"), ACCOUNT),
        (http("/whip/resource/x", method="PATCH", authorization=f"Bearer {token(resource=ARN)}"), ACCOUNT),
        (http("/", authorization=f"Bearer {token(resource=ARN)}"), ACCOUNT),
        (websocket(token(resource=ARN)), ACCOUNT),
        (websocket("stage-state-changes", f"connection-token.{token()}", token(resource=ARN)), ACCOUNT),
        (websocket(token(account_id=OTHER_ACCOUNT), f"id~{token(resource=ARN)}"), OTHER_ACCOUNT),
    ],
)
def test_requests_with_credentials_have_an_account(scope: Scope, account_id: str) -> None:
    assert accounts().account_of(scope) == account_id


@pytest.mark.parametrize(
    "scope",
    [
        http("/GetStage", authorization=SIGNATURE),
        http("/nothing", authorization=SIGNATURE),
        http("/CreateStage"),
        http("/CreateStage", authorization=SIGNATURE.replace(KEY.access_key_id, "AKIAOTHEROTHEROTHER0")),
        http("/CreateStage", authorization="AWS4-HMAC-SHA256 Credential="),
        http("/CreateStage", authorization=f"Bearer {BEARER}"),
        http("/health", method="GET", authorization=SIGNATURE),
        http("/metrics", method="GET", authorization=f"Bearer {BEARER}"),
        http("/console/", method="GET", cookie=f"__Host-stagebook={ACCOUNT}.{'0' * 64}"),
        http("/testing/v1/clock", authorization=SIGNATURE),
        http("/watch/v1/openapi.json", method="GET", authorization=SIGNATURE),
        http("/watch/v1/events", authorization="Bearer sbk_other"),
        http("/watch/v1/events", cookie=f"__Host-stagebook={'0' * 64}"),
        http("/watch/v1/events"),
        http("/whip", method="OPTIONS"),
        http("/whip", authorization="Bearer x.y.z"),
        http("/whip", authorization=f"Basic {token(resource=ARN)}"),
        http("/livekit/webhook", authorization=f"Bearer {token(resource=ARN)}"),
        websocket(),
        websocket("a.b.c", "x"),
    ],
)
def test_any_node_serves_the_others(scope: Scope) -> None:
    assert accounts().account_of(scope) is None


def test_without_authentication_calls_are_for_one_account() -> None:
    opened = accounts(open_account_id=OTHER_ACCOUNT)
    assert opened.account_of(http("/CreateStage")) == opened.account_of(http("/watch/v1/me")) == OTHER_ACCOUNT
    assert opened.account_of(http("/GetStage")) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[" * 40_000,
        b'{"resource":' + b'{"a":' * 20_000,
        b'{"resource": 1}',
        b'{"resource": "arn:aws:ivs:us-west-2:123:stage/x"}',
        b'{"resource": "arn:aws:ivs:us-west-2:111122223333:public-key/x"}',
        b'{"account_id": "1111222233334"}',
        '{"account_id": "\u0661\u0661\u0661\u0661\u0662\u0662\u0662\u0662\u0663\u0663\u0663\u0663"}'.encode(),
    ],
)
def test_a_token_without_an_account_names_none(payload: bytes) -> None:
    assert token_account(f"e30.{base64.urlsafe_b64encode(payload).decode()}.c2ln") is None


def test_only_so_many_subprotocols_are_read() -> None:
    assert accounts().account_of(websocket(*["a.b.c"] * 31, token(resource=ARN))) == ACCOUNT
    assert accounts().account_of(websocket(*["a.b.c"] * 32, token(resource=ARN))) is None


@pytest.mark.parametrize(
    ("path", "document", "account_id"),
    [
        ("/watch/v1/sign-in", {"key": BEARER}, OTHER_ACCOUNT),
        ("/watch/v1/sign-in", {"key": "sbk_other"}, None),
        ("/watch/v1/sign-in", {"key": 1}, None),
        ("/livekit/webhook", ROOM_EVENT, ACCOUNT),
        ("/livekit/webhook", {"room": {"name": "sb.-.source"}}, None),
        ("/livekit/webhook", {"event": "x"}, None),
        ("/livekit/webhook", [], None),
    ],
)
def test_the_account_of_a_sign_in_and_of_a_webhook_is_in_the_body(
    path: str, document: object, account_id: str | None
) -> None:
    scope = http(path)
    assert accounts().body_limit_bytes(scope) is not None
    assert accounts().account_in_body(scope, json.dumps(document).encode()) == account_id


def test_a_body_that_is_nested_too_deep_names_none() -> None:
    assert accounts().account_in_body(http("/livekit/webhook"), b'{"room":' + b"[" * 100_000) is None


def test_no_other_body_is_read() -> None:
    for scope in (http("/CreateStage"), http("/watch/v1/sign-in", method="GET"), websocket()):
        assert accounts().body_limit_bytes(scope) is None
