"""The page tokens of the list operations (`nextToken`).

A token is stateless: the server stores nothing for it. It holds a position in the book, and a keyed hash over that
position, the operation, the account of the caller, and every input member except `nextToken` and `maxResults`. So a
token is valid only for the same call, on a server with the same secret; `maxResults` may change between pages.

    token = base64url(position | MAC)    position: 8 bytes, signed, big-endian; MAC: keyed BLAKE2b, 16 bytes
"""

import base64
import hashlib
import hmac

import msgspec

from stagebook.api.aws.operation import Call
from stagebook.stage.errors import InvalidInputError

DEFAULT_PAGE_SIZE = 50
"""The size of a page without `maxResults` in most operations (API reference, ListParticipantEvents and others)."""

_PAGING_MEMBERS = frozenset({"nextToken", "maxResults"})
_POSITION_SIZE_BYTES = 8
_MAC_SIZE_BYTES = 16
_TOKEN_LENGTH = 32  # base64 of 24 bytes, without padding; the service model allows 1,024 of [a-zA-Z0-9+/=_-]
_PURPOSE = b"page token"
_encode_binding = msgspec.json.Encoder(order="sorted").encode


def page_size(call: Call, *, default: int = DEFAULT_PAGE_SIZE) -> int:
    """Return the `maxResults` of a call, or `default`."""
    size: int = call.request.get("maxResults", default)
    return size


class PageTokens:
    """Makes and verifies page tokens. `secret` is the key of the MAC, up to 64 bytes."""

    def __init__(self, *, secret: bytes) -> None:
        self._keyed = hashlib.blake2b(key=secret, digest_size=_MAC_SIZE_BYTES, person=_PURPOSE)

    def seal(self, operation: str, call: Call, position: int | None) -> str | None:
        """Return the token for the page after `position`; None without a position, that is, after the last page."""
        if position is None:
            return None
        packed = position.to_bytes(_POSITION_SIZE_BYTES, "big", signed=True)
        request = {member: value for member, value in call.request.items() if member not in _PAGING_MEMBERS}
        mac = self._keyed.copy()
        mac.update(packed)
        mac.update(_encode_binding((operation, call.caller.account_id, request)))
        return base64.urlsafe_b64encode(packed + mac.digest()).decode("ascii")

    def open(self, operation: str, call: Call) -> int | None:
        """Return the position after which the requested page starts; None for the first page.

        An empty `nextToken` is treated as absent, because clients in some languages cannot leave out a string. Raises
        InvalidInputError for a token that was not made for this call.
        """
        token: str = call.request.get("nextToken", "")
        if not token:
            return None
        try:
            packed = base64.urlsafe_b64decode(token)[:_POSITION_SIZE_BYTES] if len(token) == _TOKEN_LENGTH else b""
        except ValueError:
            packed = b""
        position = int.from_bytes(packed, "big", signed=True)
        expected = self.seal(operation, call, position) or ""
        # Comparing tokens, not MACs, also refuses a second base64 spelling of the same bytes.
        if not hmac.compare_digest(token.encode(), expected.encode()):
            raise InvalidInputError(
                member="nextToken",
                rule="is not a token that this operation returned for the same input",
            )
        return position
