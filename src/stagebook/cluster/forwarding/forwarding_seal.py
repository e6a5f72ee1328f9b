"""The header field by which an owner knows that a request comes from a node, and what that node knows of the client.

    X-Stagebook-Forwarded: <payload>.<MAC>

The payload is the base64url of a JSON object: the account, the run that the request is for, the time, and the address
and scheme of the client. The MAC is HMAC-SHA256 (RFC 2104) with the secret of the cluster, over the payload and over
the method, the target and the Host of the request. So a header field cannot be used for another request or another run,
nor after MAXIMUM_AGE_SECONDS. It does not cover the body, and within its age the same request can be repeated: the
network between the nodes must be a private one. AWS signatures and participant tokens are verified by the owner again.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from stagebook.api.asgi import Scope

FORWARDED_HEADER: Final = b"x-stagebook-forwarded"
MAXIMUM_AGE_SECONDS: Final = 30.0
"""Also how much the clocks of two nodes may differ, less the time of the transfer."""
MAXIMUM_SIZE_BYTES: Final = 1_024

_PURPOSE: Final = b"stagebook forwarded request 1"


class ForwardedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the node that a client asked tells the owner.

    `client` is the IP address and port of the client, `scheme` that of its request as the trusted proxies report it.
    `run_id` is the run that the request is for, and `sent_ms` the time in milliseconds since the epoch. `node` is the
    name of the sender, for logs.
    """

    account_id: str
    run_id: int
    sent_ms: int
    node: str
    scheme: str
    client: tuple[str, int] | None = None


class ForwardingRefusedError(Exception):
    """A request on the internal server was not signed by a node of this cluster. The message says what is wrong."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ForwardedFacts).decode


class ForwardingSeal:
    """Makes and verifies the header field. `now_ms` returns milliseconds since the epoch, of the machine's clock."""

    def __init__(self, cluster_secret: str, *, now_ms: Callable[[], int]) -> None:
        key = hmac.digest(cluster_secret.encode(), _PURPOSE, "sha256")
        self._mac = hmac.new(key, digestmod=sha256)
        self._now_ms = now_ms

    def facts(self, scope: Scope, *, account_id: str, run_id: int, node: str) -> ForwardedFacts:
        """Return what the owner `run_id` is told about a request."""
        return ForwardedFacts(
            account_id=account_id,
            run_id=run_id,
            sent_ms=self._now_ms(),
            node=node,
            scheme=scope.get("scheme", "http"),
            client=scope.get("client"),
        )

    def sign(self, scope: Scope, facts: ForwardedFacts) -> bytes:
        """Return the value of the header field for a request."""
        payload = base64.urlsafe_b64encode(_encode(facts))
        return payload + b"." + self._mac_of(scope, payload)

    def verify(self, scope: Scope) -> ForwardedFacts:
        """Return what the sender of a request says. Raises ForwardingRefusedError."""
        values = [value for name, value in scope["headers"] if name == FORWARDED_HEADER]
        if len(values) != 1 or len(values[0]) > MAXIMUM_SIZE_BYTES:
            raise ForwardingRefusedError("the request is not signed by a node")
        payload, _, mac = values[0].partition(b".")
        if not hmac.compare_digest(mac, self._mac_of(scope, payload)):
            raise ForwardingRefusedError("the signature is wrong: do all nodes have the same cluster_secret?")
        try:
            facts = _decode(base64.urlsafe_b64decode(payload))
        except (binascii.Error, ValueError, msgspec.DecodeError):
            # Signed by a node of another version.
            raise ForwardingRefusedError("the signed facts cannot be read") from None
        if abs(self._now_ms() - facts.sent_ms) > MAXIMUM_AGE_SECONDS * 1_000:
            raise ForwardingRefusedError(
                f"the signature is not of the last {MAXIMUM_AGE_SECONDS:.0f} seconds: are the clocks right?"
            )
        return facts

    def _mac_of(self, scope: Scope, payload: bytes) -> bytes:
        # None of these can contain a line feed: the server refuses such a head.
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        mac = self._mac.copy()
        mac.update(b"\n".join((scope.get("method", "GET").encode(), request_target(scope), host, payload)))
        return mac.hexdigest().encode()


def request_target(scope: Scope) -> bytes:
    """Return the target of a request in origin form (RFC 9112 section 3.2.1)."""
    raw_path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return raw_path + b"?" + query if query else raw_path
