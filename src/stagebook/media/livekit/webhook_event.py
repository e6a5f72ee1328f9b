"""Webhooks of LiveKit: the proof that LiveKit sent one, and the event in it.

LiveKit posts one event as JSON. The header Authorization has an access token that is signed with the API secret, and
whose claim `sha256` is the base64 of the body's digest (https://docs.livekit.io/home/server/webhooks/). LiveKit sends
an event again until it is answered by 2xx, for about 30 s, then drops it without a word. So webhooks are fast, and
never the whole truth.
"""

import base64
import hashlib
import hmac
from typing import Final

import jwt
from google.protobuf.json_format import Parse, ParseError
from livekit.protocol.webhook import WebhookEvent

from stagebook.media.livekit.livekit_access import LiveKitKey

MAX_WEBHOOK_SIZE_BYTES: Final = 256 * 1_024
"""An event has one room and one participant with its tracks. Metadata and attributes are at most 64 KB each."""
_CLOCK_LEEWAY_SECONDS: Final = 60


class WebhookRefusedError(Exception):
    """The request is no webhook of this LiveKit. The message may be shown to the sender."""


def read_webhook(body: bytes, authorization: str, *, key: LiveKitKey) -> WebhookEvent:
    """Return the event of a webhook whose sender knows the API secret.

    `authorization` is the value of the header field. Members that this version of the protocol does not know are
    ignored. Raises WebhookRefusedError.
    """
    if len(body) > MAX_WEBHOOK_SIZE_BYTES:
        raise WebhookRefusedError(f"the body has more than {MAX_WEBHOOK_SIZE_BYTES} bytes")
    claims = _claims(authorization.removeprefix("Bearer "), key)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    if not hmac.compare_digest(str(claims.get("sha256", "")).encode(), digest.encode()):
        raise WebhookRefusedError("the claim sha256 is not the digest of the body")
    try:
        return Parse(body, WebhookEvent(), ignore_unknown_fields=True)
    except (ParseError, UnicodeDecodeError) as error:
        raise WebhookRefusedError("the body is not a webhook event in JSON") from error


def _claims(token: str, key: LiveKitKey) -> dict[str, object]:
    try:
        claims: dict[str, object] = jwt.decode(
            token,
            key.secret,
            algorithms=["HS256"],
            issuer=key.key,
            leeway=_CLOCK_LEEWAY_SECONDS,
            options={"require": ["exp", "iss"]},
        )
    except jwt.PyJWTError as error:
        raise WebhookRefusedError(f"the token of the header Authorization is refused: {error}") from error
    return claims
