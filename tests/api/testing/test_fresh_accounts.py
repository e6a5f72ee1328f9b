"""Accounts and access keys that tests make."""

import pytest

from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.api.testing import fresh_accounts
from stagebook.api.testing.fresh_accounts import FreshAccounts
from stagebook.stage.errors import ServerBusyError
from tests.manager.manager_harness import SeededRandomness

OWN = AwsCredential(access_key_id="AKIAOWN", secret_access_key="secret", account_id="123456789012")


def test_each_account_is_fresh_and_its_key_may_sign() -> None:
    store = CredentialStore([OWN])
    accounts = FreshAccounts(store, randomness=SeededRandomness())

    one, other = accounts.create(), accounts.create()

    assert len({OWN.account_id, one.account_id, other.account_id}) == 3
    assert store.find(one.access_key_id) is one
    assert store.find(other.access_key_id) is other
    assert one.secret_access_key != other.secret_access_key


def test_a_chosen_account_may_exist_and_gets_a_further_key() -> None:
    store = CredentialStore([OWN])
    accounts = FreshAccounts(store, randomness=SeededRandomness())

    key = accounts.create(OWN.account_id)

    assert key.account_id == OWN.account_id
    assert [credential.access_key_id for credential in store] == [OWN.access_key_id, key.access_key_id]


def test_an_account_id_that_is_taken_is_not_drawn() -> None:
    accounts = FreshAccounts(CredentialStore(), randomness=Repeating([1, 1, 1, 2]))

    assert [accounts.create().account_id for _ in range(2)] == ["100000000001", "100000000002"]


def test_their_number_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_accounts, "MAXIMUM_KEYS", 2)
    store = CredentialStore()
    accounts = FreshAccounts(store, randomness=SeededRandomness())
    accounts.create()
    accounts.create(OWN.account_id)

    with pytest.raises(ServerBusyError, match="2 access keys"):
        accounts.create()

    assert len(list(store)) == 2


class Repeating:
    """Randomness with given numbers for accounts, and others for keys."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)
        self._others = SeededRandomness()

    def token_bytes(self, size_bytes: int) -> bytes:
        return next(self._numbers).to_bytes(8, "big") if size_bytes == 8 else self._others.token_bytes(size_bytes)
