"""Positions of lists as opaque tokens, which are valid for one request only.

A token is stateless: the server stores nothing for it. It holds a position in the book, and a keyed hash over that
position and everything that the position belongs to: the operation, the account, and the input that selects the list.
So it is valid only for the same request, on a server with the same secret.

    token = base64url(position | MAC)    position: 8 bytes, signed, big-endian; MAC: keyed BLAKE2b, 16 bytes
"""

import base64
import hashlib
import hmac

import msgspec

_POSITION_SIZE_BYTES = 8
_MAC_SIZE_BYTES = 16

TOKEN_LENGTH = 32
"""The length of every token: base64 of 24 bytes, without padding."""

_encode_binding = msgspec.json.Encoder(order="sorted").encode


class PositionSeal:
    """Makes and verifies tokens. `secret` is the key of the MAC, up to 64 bytes.

    `purpose`, up to 16 bytes, separates kinds of tokens that have the same secret.
    """

    def __init__(self, *, secret: bytes, purpose: bytes) -> None:
        self._secret = secret
        self._purpose = purpose

    def seal(self, position: int, *, binding: object) -> str:
        """Return the token of a position. `binding` is what it belongs to, of types that JSON has."""
        packed = position.to_bytes(_POSITION_SIZE_BYTES, "big", signed=True)
        mac = hashlib.blake2b(packed, key=self._secret, digest_size=_MAC_SIZE_BYTES, person=self._purpose)
        mac.update(_encode_binding(binding))
        return base64.urlsafe_b64encode(packed + mac.digest()).decode("ascii")

    def open(self, token: str, *, binding: object) -> int | None:
        """Return the position of a token, or None if it was not made for this binding."""
        try:
            packed = base64.urlsafe_b64decode(token)[:_POSITION_SIZE_BYTES] if len(token) == TOKEN_LENGTH else b""
        except ValueError:
            packed = b""
        position = int.from_bytes(packed, "big", signed=True)
        # Comparing tokens, not MACs, also refuses a second base64 spelling of the same bytes.
        is_valid = hmac.compare_digest(token.encode(), self.seal(position, binding=binding).encode())
        return position if is_valid else None
