"""Accounts and access keys that a test makes while the server runs. They are in memory only.

Resources, quotas and call rates belong to an account. So tests that have an account each do not see each other.
"""

from stagebook.api.access.sigv4.credentials import (
    AwsCredential,
    CredentialStore,
    new_access_key_id,
    new_secret_access_key,
)
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import ServerBusyError

MAXIMUM_KEYS = 10_000
"""Access keys that tests have made. Each is held in memory, about 2 KiB with what is cached for it."""


class FreshAccounts:
    """Adds access keys to `credentials`, those of the server."""

    def __init__(self, credentials: CredentialStore, *, randomness: Randomness) -> None:
        self._credentials = credentials
        self._randomness = randomness
        self._accounts = {credential.account_id for credential in credentials}
        self._made = 0

    def create(self, account_id: str | None = None) -> AwsCredential:
        """Return a new access key of a fresh account, or of the account `account_id` (12 digits), known or not.

        Raises ServerBusyError when MAXIMUM_KEYS have been made.
        """
        if self._made >= MAXIMUM_KEYS:
            raise ServerBusyError(
                f"tests have made {MAXIMUM_KEYS} access keys, which is the maximum; restart the server"
            )
        self._made += 1
        credential = AwsCredential(
            access_key_id=new_access_key_id(self._randomness),
            secret_access_key=new_secret_access_key(self._randomness),
            account_id=account_id or self._fresh_account_id(),
        )
        self._accounts.add(credential.account_id)
        self._credentials.add(credential)
        return credential

    def _fresh_account_id(self) -> str:
        """Return an account id that no key of this server has. As those of AWS, it has 12 digits."""
        while True:
            number = int.from_bytes(self._randomness.token_bytes(8), "big")
            account_id = f"{number % 900_000_000_000 + 100_000_000_000}"
            if account_id not in self._accounts:
                return account_id
