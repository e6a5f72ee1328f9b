"""New access keys, in the form of those of AWS."""

import string

from stagebook.stage.clock import Randomness

_ID_LETTERS = string.ascii_uppercase + "234567"
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


def new_access_key_id(randomness: Randomness) -> str:
    """Return a new id: AKIA and 16 base32 characters."""
    return "AKIA" + _letters(randomness, _ID_LETTERS, count=16)


def new_secret_access_key(randomness: Randomness) -> str:
    """Return a new secret: 40 base64 characters."""
    return _letters(randomness, _SECRET_LETTERS, count=40)


def _letters(randomness: Randomness, alphabet: str, *, count: int) -> str:
    # The sizes of both alphabets are powers of two that divide 256, so the remainder of a byte has no bias.
    return "".join(alphabet[byte % len(alphabet)] for byte in randomness.token_bytes(count))
