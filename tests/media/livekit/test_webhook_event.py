"""Webhooks of LiveKit are read only if their token is signed with the API secret."""

import base64
import hashlib
import time
from collections.abc import Callable

import jwt
import pytest

from stagebook.media.livekit.livekit_access import LiveKitKey
from stagebook.media.livekit.webhook_event import MAX_WEBHOOK_SIZE_BYTES, WebhookRefusedError, read_webhook

KEY = LiveKitKey(key="test", secret="the secret of the key of these tests")
BODY = b'{"event":"participant_joined","room":{"name":"room"},"participant":{"identity":"one"},"id":"EV_1","new":1}'


def signed(body: bytes, *, secret: str = KEY.secret, issuer: str = KEY.key, lifetime_seconds: int = 60) -> str:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    claims = {"iss": issuer, "sha256": digest, "exp": int(time.time()) + lifetime_seconds}
    return jwt.encode(claims, secret, algorithm="HS256")


def test_an_event_of_the_holder_of_the_secret_is_read() -> None:
    event = read_webhook(BODY, signed(BODY), key=KEY)
    assert (event.event, event.room.name, event.participant.identity, event.id) == (
        "participant_joined",
        "room",
        "one",
        "EV_1",
    )


@pytest.mark.parametrize(
    ("body", "sign", "detail"),
    [
        (BODY, lambda: "", "token"),
        (BODY, lambda: signed(BODY, secret="the secret of another key of LiveKit"), "token"),
        (BODY, lambda: signed(BODY, issuer="another"), "token"),
        (BODY, lambda: signed(BODY, lifetime_seconds=-120), "token"),
        (BODY + b" ", lambda: signed(BODY), "sha256"),
        (b"{", lambda: signed(b"{"), "JSON"),
        (b"\xff", lambda: signed(b"\xff"), "JSON"),
        (b" " * (MAX_WEBHOOK_SIZE_BYTES + 1), lambda: "", "bytes"),
    ],
)
def test_anything_else_is_refused(body: bytes, sign: Callable[[], str], detail: str) -> None:
    with pytest.raises(WebhookRefusedError, match=detail):
        read_webhook(body, sign(), key=KEY)
