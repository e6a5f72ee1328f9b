"""The account that a request is for, which decides about the node that serves it.

    AWS API               the access key in the header field Authorization
    participants API      the participant token: the stage ARN in its payload, or the account of a connection token
    watch API, console    the access key, the bearer key, or the account at the beginning of the session's cookie
    LiveKit's webhooks    the name of the room, in the body
    sign-in of a user     the bearer key in the body

Nothing is verified here: the result only chooses a node, and the node that serves the request verifies what it gets.
A request has no account (None) if any node can serve it: health, metrics, files, documents, preflights, reads of the
book, and every request without valid credentials, which any node refuses. Presigned URLs are such requests, because
this server does not support them.

Any client can send such requests, so the work is bounded: the server limits the head of a request to 64 KiB and
128 header fields, at most MAXIMUM_SUBPROTOCOLS offered subprotocols are read, and bodies have limits of their own.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

import msgspec

from stagebook.api.access.sigv4.authorization_header import ALGORITHM
from stagebook.api.access.sigv4.credentials import CredentialStore
from stagebook.api.asgi import Scope
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.routes.openapi_document import DOCUMENT_NAME
from stagebook.api.testing.testing_description import TESTING_PREFIX
from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.api.watch.access.console_sessions import session_account
from stagebook.api.watch.access.session_cookie import SessionCookie
from stagebook.api.watch.console.console_files import ConsoleFiles
from stagebook.api.watch.watch_description import WATCH_PREFIX
from stagebook.cluster.local_reads import LOCAL_READS
from stagebook.stage.json_depth import is_too_deep

MAXIMUM_SUBPROTOCOLS: Final = 32
"""A websocket that several stages share offers a connection token and 16 participant tokens at most."""
SIGN_IN_PATH: Final = f"{WATCH_PREFIX}sign-in"
SIGN_IN_LIMIT_BYTES: Final = 4_096
LIVEKIT_WEBHOOK_PATH: Final = "/livekit/webhook"
LIVEKIT_WEBHOOK_LIMIT_BYTES: Final = 256 * 1_024
"""The limit of the receiver, which refuses a larger body."""

_LOCAL_PATHS: Final = frozenset({"/health", "/metrics", WATCH_PREFIX + DOCUMENT_NAME})
_ACCOUNT_ID: Final = re.compile(r"[0-9]{12}")
_STAGE_ARN: Final = re.compile(r"arn:aws:ivs:[a-z0-9-]{1,32}:([0-9]{12}):stage/[a-zA-Z0-9-]{1,64}")
_CREDENTIAL: Final = re.compile(rb"Credential=([A-Za-z0-9_]{1,128})/")
_ENGINE_ROOM: Final = re.compile(r"sb\.([0-9]{12})\..+", re.DOTALL)


class _TokenPayload(msgspec.Struct, frozen=True):
    resource: str = ""
    account_id: str = ""


class _SignIn(msgspec.Struct, frozen=True):
    key: str


class _Room(msgspec.Struct, frozen=True):
    name: str = ""


class _Webhook(msgspec.Struct, frozen=True):
    room: _Room = _Room()


_decode_token = msgspec.json.Decoder(_TokenPayload).decode
_decode_sign_in = msgspec.json.Decoder(_SignIn).decode
_decode_webhook = msgspec.json.Decoder(_Webhook).decode


class RequestAccounts:
    """Finds the account of a request.

    `find_operation` returns the name of the AWS operation at a method and an undecoded path, None if there is none.
    `find_bearer_key` returns the bearer key with a text. With `open_account_id`, authentication is off, and requests
    to the AWS API and the watch API are for this account.
    """

    def __init__(
        self,
        *,
        credentials: CredentialStore,
        find_bearer_key: Callable[[str], BearerKey | None],
        cookie: SessionCookie,
        find_operation: Callable[[str, bytes], str | None],
        open_account_id: str | None = None,
    ) -> None:
        self._credentials = credentials
        self._find_bearer_key = find_bearer_key
        self._cookie = cookie
        self._find_operation = find_operation
        self._open_account_id = open_account_id

    @staticmethod
    def body_limit_bytes(scope: Scope) -> int | None:
        """Return the largest body of a request whose account is in the body; None for any other request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        if scope["path"] == SIGN_IN_PATH:
            return SIGN_IN_LIMIT_BYTES
        return LIVEKIT_WEBHOOK_LIMIT_BYTES if scope["path"] == LIVEKIT_WEBHOOK_PATH else None

    def account_in_body(self, scope: Scope, body: bytes) -> str | None:
        """Return the account in the body of a request for which `body_limit_bytes` is not None."""
        if is_too_deep(body):
            return None
        try:
            if scope["path"] == SIGN_IN_PATH:
                return self._account_of_bearer_key(_decode_sign_in(body).key)
            match = _ENGINE_ROOM.fullmatch(_decode_webhook(body).room.name)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return None if match is None else match[1]

    def account_of(self, scope: Scope) -> str | None:
        """Return the account that the head of a request names; None if any node can serve it."""
        if scope["type"] == "websocket":
            return _account_of_subprotocols(scope["subprotocols"])
        path: str = scope["path"]
        if path in _LOCAL_PATHS or path.startswith(TESTING_PREFIX) or path == LIVEKIT_WEBHOOK_PATH:
            return None
        if ConsoleFiles.serves(scope):
            return None
        if path.startswith(WATCH_PREFIX):
            return self._account_of_watcher(scope)
        if ParticipantsApi.serves(scope):
            return _account_of_bearer_token(scope)
        return self._account_of_aws_call(scope)

    def _account_of_aws_call(self, scope: Scope) -> str | None:
        operation = self._find_operation(scope["method"], scope["raw_path"])
        if operation is None or operation in LOCAL_READS:
            return None
        return self._open_account_id or self._account_of_signature(_header(scope, b"authorization"))

    def _account_of_watcher(self, scope: Scope) -> str | None:
        if self._open_account_id is not None:
            return self._open_account_id
        authorization = _header(scope, b"authorization").strip()
        if not authorization:
            session_id = self._cookie.read(_header(scope, b"cookie"))
            return None if session_id is None else session_account(session_id)
        scheme, _, credentials = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            return self._account_of_bearer_key(credentials.strip().decode("latin-1"))
        return self._account_of_signature(authorization)

    def _account_of_signature(self, authorization: bytes) -> str | None:
        if not authorization.strip().startswith(ALGORITHM):
            return None
        match = _CREDENTIAL.search(authorization)
        credential = None if match is None else self._credentials.find(match[1].decode("ascii"))
        return None if credential is None else credential.account_id

    def _account_of_bearer_key(self, text: str) -> str | None:
        key = self._find_bearer_key(text)
        return None if key is None else key.account_id


def token_account(token: str) -> str | None:
    """Return the account that the payload of a participant token or a connection token names, unverified."""
    parts = token.split(".", 3)
    if len(parts) != 3:
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        if is_too_deep(payload):
            return None
        claims = _decode_token(payload)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None
    if (match := _STAGE_ARN.fullmatch(claims.resource)) is not None:
        return match[1]
    return claims.account_id if _ACCOUNT_ID.fullmatch(claims.account_id) else None


def _account_of_bearer_token(scope: Scope) -> str | None:
    scheme, _, token = _header(scope, b"authorization").strip().partition(b" ")
    return token_account(token.strip().decode("latin-1")) if scheme.lower() == b"bearer" else None


def _account_of_subprotocols(offered: list[str]) -> str | None:
    accounts = (token_account(each) for each in offered[:MAXIMUM_SUBPROTOCOLS])
    return next((account for account in accounts if account is not None), None)


def _header(scope: Scope, name: bytes) -> bytes:
    """Return the first value of a header field, empty if it is absent."""
    return next((value for key, value in scope["headers"] if key == name), b"")
