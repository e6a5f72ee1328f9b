"""A bearer key: its text, which is shown once, and what is kept of it.

    sbk_<id>_<secret>     sbk_k3jd92md0q_...

The id has 50 bits and is no secret: lists and logs name a key by it. The secret has 260 random bits, written in base32
so that it is one word without upper case.

A key is kept as the SHA-256 of its text. A slow hash (scrypt, Argon2) protects passwords, which have few bits, from
being guessed offline. Nobody can guess 260 random bits, so a fast hash is as safe, and it costs the event loop a
microsecond for each request instead of many milliseconds.
"""

import re
from hashlib import sha256
from typing import Annotated

import msgspec

from stagebook.api.routes.api_route import Role
from stagebook.stage.clock import Randomness

PREFIX = "sbk"
ID_LENGTH = 10
SECRET_LENGTH = 52
MAXIMUM_NAME_LENGTH = 64

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_FORM = re.compile(rf"{PREFIX}_([a-z2-7]{{{ID_LENGTH}}})_[a-z2-7]{{{SECRET_LENGTH}}}")


class BearerKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a bearer key. `digest` is the SHA-256 of its text in hexadecimal digits.

    Times are milliseconds since the epoch. A key without `expires_ms` is valid until it is revoked.
    """

    key_id: Annotated[str, msgspec.Meta(pattern=rf"^[a-z2-7]{{{ID_LENGTH}}}$")]
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    role: Role
    account_id: Annotated[str, msgspec.Meta(pattern="^[0-9]{12}$")]
    created_ms: int
    expires_ms: int | None = None
    name: Annotated[str, msgspec.Meta(max_length=MAXIMUM_NAME_LENGTH)] = ""

    def is_valid_at(self, now_ms: int) -> bool:
        """Return whether the key has not expired."""
        return self.expires_ms is None or now_ms < self.expires_ms

    def __repr__(self) -> str:
        return f"BearerKey(key_id={self.key_id!r})"


def new_key_text(randomness: Randomness) -> str:
    """Return the text of a new key."""
    # 256 is a multiple of the number of letters, so the remainder of a byte has no bias.
    letters = "".join(_LETTERS[byte % len(_LETTERS)] for byte in randomness.token_bytes(ID_LENGTH + SECRET_LENGTH))
    return f"{PREFIX}_{letters[:ID_LENGTH]}_{letters[ID_LENGTH:]}"


def id_of(text: str) -> str | None:
    """Return the id in the text of a key; None if the text does not have the form of a key."""
    match = _FORM.fullmatch(text)
    return None if match is None else match[1]


def digest_of(text: str) -> str:
    """Return the SHA-256 of the text of a key, in hexadecimal digits."""
    return sha256(text.encode()).hexdigest()
