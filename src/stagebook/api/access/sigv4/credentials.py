"""The access keys that may sign requests, and new ones in the form of those of AWS."""

import re
import string
from collections.abc import Iterable, Iterator

import msgspec

from stagebook.api.access.policy import ALLOW_EVERYTHING, Identity, Policy
from stagebook.stage.clock import Randomness

_ACCESS_KEY_ID = re.compile(r"[A-Za-z0-9_]{1,128}")
_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_USER_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
_ID_LETTERS = string.ascii_uppercase + "234567"
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


class AwsCredential(msgspec.Struct, frozen=True, kw_only=True):
    """One access key, with its account, its policy and the name of the IAM user that AccessDenied errors show.

    `session_token` makes the key a temporary one: every request must send it in `X-Amz-Security-Token`. A long-term key
    has none, and AWS refuses requests of such a key that send one.

    Raises ValueError when a field does not have the form that AWS gives it. `repr` leaves the secrets out.
    """

    access_key_id: str
    secret_access_key: str
    account_id: str
    policy: Policy = ALLOW_EVERYTHING
    user_name: str = "stagebook"
    session_token: str = ""

    def __post_init__(self) -> None:
        if _ACCESS_KEY_ID.fullmatch(self.access_key_id) is None:
            raise ValueError("access_key_id must be 1 to 128 letters, digits or underscores")
        if not self.secret_access_key:
            raise ValueError(f"the secret access key of {self.access_key_id} must not be empty")
        if _ACCOUNT_ID.fullmatch(self.account_id) is None:
            raise ValueError(f"the account_id of {self.access_key_id} must be 12 digits")
        if _USER_NAME.fullmatch(self.user_name) is None:
            raise ValueError(f"the user_name of {self.access_key_id} must be 1 to 64 characters of [A-Za-z0-9+=,.@_-]")

    def __repr__(self) -> str:
        return f"AwsCredential({self.access_key_id!r}, account_id={self.account_id!r}, user_name={self.user_name!r})"

    @property
    def identity(self) -> Identity:
        """Who signs with this key."""
        return Identity(
            access_key_id=self.access_key_id,
            account_id=self.account_id,
            arn=f"arn:aws:iam::{self.account_id}:user/{self.user_name}",
            policy=self.policy,
        )


class CredentialStore:
    """All access keys of the server, by id. Raises ValueError for an access key id that occurs twice."""

    def __init__(self, credentials: Iterable[AwsCredential] = ()) -> None:
        self._by_id: dict[str, AwsCredential] = {}
        for credential in credentials:
            self.add(credential)

    def add(self, credential: AwsCredential) -> None:
        """Let a further key sign requests. Raises ValueError for an access key id that the server has."""
        if credential.access_key_id in self._by_id:
            raise ValueError(f"access key {credential.access_key_id} occurs twice")
        self._by_id[credential.access_key_id] = credential

    def find(self, access_key_id: str) -> AwsCredential | None:
        """Return the credential of an access key id, or None."""
        return self._by_id.get(access_key_id)

    def __iter__(self) -> Iterator[AwsCredential]:
        return iter(self._by_id.values())


def new_access_key_id(randomness: Randomness) -> str:
    """Return a new id: AKIA and 16 base32 characters."""
    return "AKIA" + _letters(randomness, _ID_LETTERS, count=16)


def new_secret_access_key(randomness: Randomness) -> str:
    """Return a new secret: 40 base64 characters."""
    return _letters(randomness, _SECRET_LETTERS, count=40)


def _letters(randomness: Randomness, alphabet: str, *, count: int) -> str:
    # The sizes of both alphabets are powers of two that divide 256, so the remainder of a byte has no bias.
    return "".join(alphabet[byte % len(alphabet)] for byte in randomness.token_bytes(count))
