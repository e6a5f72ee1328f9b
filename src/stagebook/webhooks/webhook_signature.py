"""The signature of a webhook, by the scheme of Standard Webhooks 1.0 (standardwebhooks.com).

    webhook-id: the id of the event, the same in each attempt
    webhook-timestamp: the time of the attempt, in seconds since the epoch
    webhook-signature: v1,<base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>">

While a secret is being replaced, the header field has a signature by each secret, separated by a space.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from stagebook.webhooks.destination import secret_key


def signed_headers(body: bytes, *, message_id: str, time_s: int, secrets: Sequence[str]) -> dict[str, str]:
    """Return the header fields of a message. Without secrets it has no signature."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(time_s)}
    content = f"{message_id}.{time_s}.".encode() + body
    signatures = [f"v1,{_signature(content, secret)}" for secret in secrets]
    return headers | ({"webhook-signature": " ".join(signatures)} if signatures else {})


def _signature(content: bytes, secret: str) -> str:
    return base64.b64encode(hmac.digest(secret_key(secret), content, hashlib.sha256)).decode("ascii")
