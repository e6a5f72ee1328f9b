"""The page tokens of the list operations: where the next page starts, sealed to the call that asked.

A token is stateless. It carries a position of the book and a MAC over that position and the call: its operation, its
caller's account and every input member except `nextToken` and `maxResults`. So a token of another stage, filter,
account, operation or server is refused, and the server remembers nothing. It knows no store and no wire.
"""

import base64
import hashlib
import hmac

import msgspec

from stagebook.api.aws.operation import Call
from stagebook.stage.errors import InvalidInputError

DEFAULT_PAGE_SIZE = 50
"""How many items most lists show when `maxResults` is absent (API reference, ListParticipantEvents and others)."""

_PAGING_MEMBERS = frozenset({"nextToken", "maxResults"})
_POSITION_SIZE_BYTES = 8
_MAC_SIZE_BYTES = 16
_TOKEN_LENGTH = 32  # base64 of 8 + 16 bytes: no padding, inside the model's 1,024 of [a-zA-Z0-9+/=_-]
_PURPOSE = b"page token"
_encode_binding = msgspec.json.Encoder(order="sorted").encode


def page_size(call: Call, *, default: int = DEFAULT_PAGE_SIZE) -> int:
    """Return how many items the caller wants at most; `default` when it does not say."""
    size: int = call.request.get("maxResults", default)
    return size


class PageTokens:
    """Seals and opens page tokens with a secret of the server (up to 64 bytes)."""

    def __init__(self, *, secret: bytes) -> None:
        self._keyed = hashlib.blake2b(key=secret, digest_size=_MAC_SIZE_BYTES, person=_PURPOSE)

    def seal(self, operation: str, call: Call, position: int | None) -> str | None:
        """Return the token that continues this call after `position`; None when nothing is left (`position` None)."""
        if position is None:
            return None
        packed = position.to_bytes(_POSITION_SIZE_BYTES, "big", signed=True)
        request = {member: value for member, value in call.request.items() if member not in _PAGING_MEMBERS}
        mac = self._keyed.copy()
        mac.update(packed)
        mac.update(_encode_binding((operation, call.caller.account_id, request)))
        return base64.urlsafe_b64encode(packed + mac.digest()).decode("ascii")

    def open(self, operation: str, call: Call) -> int | None:
        """Return the position after which this call continues; None when it starts at the first page.

        An empty `nextToken` asks for the first page: clients whose strings cannot be absent send it so. Raises
        InvalidInputError for a token that this server did not give out for this very call.
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
        # Sealing again and comparing the text refuses a second spelling of the same bytes as well as a forgery.
        if not hmac.compare_digest(token.encode(), expected.encode()):
            raise InvalidInputError(
                member="nextToken",
                rule="is not a token that this operation returned for the same input",
            )
        return position
