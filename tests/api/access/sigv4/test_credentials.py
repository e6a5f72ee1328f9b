"""Access keys and their lookup."""

import pytest

from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from tests.api.aws.asgi_harness import ACCOUNT, KEY_ID, SECRET, credential


def test_a_key_is_found_by_its_id() -> None:
    credentials = CredentialStore([credential()])

    assert credentials.find(KEY_ID) == credential()
    assert credentials.find("AKIDOTHER") is None
    assert list(credentials) == [credential()]


def test_a_key_id_cannot_occur_twice() -> None:
    with pytest.raises(ValueError, match="AKIDEXAMPLE occurs twice"):
        CredentialStore([credential(), credential(account_id="999999999999")])


def test_the_secret_is_not_in_repr_or_str() -> None:
    assert SECRET not in repr(credential())
    assert SECRET not in str(credential())


@pytest.mark.parametrize("access_key_id", ["", "with blank", "with/slash", "a" * 129, "AKID\n"])
def test_a_malformed_key_id_is_refused(access_key_id: str) -> None:
    with pytest.raises(ValueError, match="access_key_id"):
        AwsCredential(access_key_id=access_key_id, secret_access_key=SECRET, account_id=ACCOUNT)


@pytest.mark.parametrize("account_id", ["", "12345678901", "1234567890123", "12345678901x", "123456789012\n"])
def test_an_account_id_has_twelve_digits(account_id: str) -> None:
    with pytest.raises(ValueError, match="12 digits"):
        AwsCredential(access_key_id=KEY_ID, secret_access_key=SECRET, account_id=account_id)


def test_a_secret_cannot_be_empty() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        AwsCredential(access_key_id=KEY_ID, secret_access_key="", account_id=ACCOUNT)


@pytest.mark.parametrize("user_name", ["", "a b", "a/b", "a" * 65])
def test_a_user_name_has_the_form_of_iam(user_name: str) -> None:
    with pytest.raises(ValueError, match="user_name"):
        AwsCredential(access_key_id=KEY_ID, secret_access_key=SECRET, account_id=ACCOUNT, user_name=user_name)
