"""The exchange of secrets between the data folders of the nodes of one book."""

from pathlib import Path

import pytest

from stagebook.data_folder.folder_permissions import DataFolderError
from stagebook.data_folder.secret_exchange import exchange_secrets
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.system_clock import SystemRandomness

ACCOUNT = "123456789012"


class SharedNames:
    """Implements `SecretStore` in memory. `rival` is what another node stores just before."""

    def __init__(self) -> None:
        self.secrets: dict[str, bytes] = {}
        self.rival: dict[str, bytes] = {}

    def find(self, name: str) -> bytes | None:
        """See `SecretStore`."""
        return self.secrets.get(name)

    def share(self, name: str, value: bytes) -> bytes:
        """See `SecretStore`."""
        self.secrets.update(self.rival)
        return self.secrets.setdefault(name, value)


def exchanged(path: Path, store: SharedNames) -> DataFolder:
    folder = DataFolder(path)
    folder.prepare()
    exchange_secrets(folder, store, account_id=ACCOUNT, randomness=SystemRandomness())
    return folder


def secrets_of(folder: DataFolder) -> dict[str, bytes]:
    paths = (
        folder.access_key_path,
        folder.token_key_path,
        folder.page_secret_path,
        folder.stream_key_secret_path,
        folder.webhook_secret_path,
    )
    return {path.name: path.read_bytes() for path in paths}


def test_the_first_node_generates_the_secrets_and_the_next_one_takes_them(tmp_path: Path) -> None:
    store = SharedNames()
    first = exchanged(tmp_path / "a", store)
    second = exchanged(tmp_path / "b", store)
    assert secrets_of(first) == secrets_of(second) == store.secrets
    assert second.access_key(account_id="0", randomness=SystemRandomness()).account_id == ACCOUNT
    assert {path.stat().st_mode & 0o777 for path in second.path.iterdir()} == {0o600}


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    store = SharedNames()
    before = secrets_of(exchanged(tmp_path, store))
    assert secrets_of(exchanged(tmp_path, store)) == before


def test_the_secrets_of_an_existing_folder_are_those_of_a_new_book(tmp_path: Path) -> None:
    folder = exchanged(tmp_path, SharedNames())
    store = SharedNames()
    exchanged(tmp_path, store)
    assert store.secrets == secrets_of(folder)


def test_a_folder_of_another_book_is_refused(tmp_path: Path) -> None:
    store = SharedNames()
    exchanged(tmp_path / "a", store)
    exchanged(tmp_path / "b", SharedNames())
    with pytest.raises(DataFolderError, match=r"access-key\.json is not the access-key of the book"):
        exchanged(tmp_path / "b", store)


def test_of_two_nodes_that_generate_at_once_both_get_what_was_stored_first(tmp_path: Path) -> None:
    store = SharedNames()
    store.rival = secrets_of(exchanged(tmp_path / "a", SharedNames()))
    assert secrets_of(exchanged(tmp_path / "b", store)) == store.rival
