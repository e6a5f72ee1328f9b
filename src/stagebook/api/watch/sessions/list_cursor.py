"""Cursors of lists: opaque texts with a position, which are valid for the same list with the same filters only.

A cursor needs no memory of the server and stays valid while the list grows. It is no secret and grants nothing: each
page is read with the rights of its own request. The digest only finds cursors that are used with another list.
"""

import base64
import binascii
import hashlib

from stagebook.api.watch.watch_problems import WatchProblemCode, WatchRefusedError

_DIGEST_SIZE_BYTES = 6
_POSITION_SIZE_BYTES = 8
_MAXIMUM_POSITION = (1 << 63) - 1
MAXIMUM_CURSOR_LENGTH = 64


def encode_cursor(position: int, *bound: object) -> str:
    """Return the cursor of a position, from 0 to 2**63 - 1, in the list that `bound` identifies."""
    raw = position.to_bytes(_POSITION_SIZE_BYTES, "big") + _digest(bound)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(cursor: str, *bound: object) -> int:
    """Return the position of a cursor. Raises WatchRefusedError 400 unless it is one of the list of `bound`."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    position = int.from_bytes(raw[:_POSITION_SIZE_BYTES], "big") & _MAXIMUM_POSITION
    if len(raw) != _POSITION_SIZE_BYTES + _DIGEST_SIZE_BYTES or raw[_POSITION_SIZE_BYTES:] != _digest(bound):
        raise WatchRefusedError(
            status=400,
            code=WatchProblemCode.INVALID_PARAMETER,
            detail="cursor: must be the `nextCursor` of a response to the same request",
        )
    return position


def _digest(bound: tuple[object, ...]) -> bytes:
    return hashlib.blake2b(repr(bound).encode("utf-8", "surrogatepass"), digest_size=_DIGEST_SIZE_BYTES).digest()
