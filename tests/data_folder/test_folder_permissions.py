"""The owner and mode of the data folder and its files: what is refused, and what is repaired."""

import os
import stat
from pathlib import Path

import pytest

from stagebook.data_folder.folder_permissions import DataFolderError
from stagebook.data_folder.secrets import DataFolder, ServerAddress
from stagebook.server.system_clock import SystemRandomness

ACCOUNT = "123456789012"
BOOK_FILES = ("book.sqlite3", "book.sqlite3-wal", "book.sqlite3-shm", "book.sqlite3.lock")
OTHER_FILES = ("rtmps-certificate.pem", "server.json")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    assert folder.repaired_paths == []
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def add_file(folder: DataFolder, name: str, *, mode: int) -> Path:
    path = folder.path / name
    path.write_bytes(b"content")
    path.chmod(mode)
    return path


def become_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process be a user that does not own the files it created. Works for every user, also for root."""
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)


def test_a_folder_that_other_users_can_read_is_made_private(folder: DataFolder) -> None:
    folder.path.chmod(0o755)

    folder.prepare()

    assert folder.repaired_paths == [folder.path]
    assert mode(folder.path) == 0o700
    folder.prepare()
    assert folder.repaired_paths == []


@pytest.mark.parametrize("name", [*BOOK_FILES, *OTHER_FILES])
@pytest.mark.parametrize("before", [0o644, 0o640, 0o604, 0o601])
def test_a_file_that_other_users_can_read_is_made_private(folder: DataFolder, name: str, before: int) -> None:
    path = add_file(folder, name, mode=before)

    folder.prepare()

    assert folder.repaired_paths == [path]
    assert mode(path) == 0o600
    assert path.read_bytes() == b"content"


@pytest.mark.parametrize("before", [0o777, 0o770, 0o720, 0o702, 0o1777])
def test_a_folder_that_other_users_can_write_to_is_refused_and_unchanged(folder: DataFolder, before: int) -> None:
    folder.path.chmod(before)

    with pytest.raises(DataFolderError, match=f"other users can write to {folder.path}.*chmod 700"):
        folder.prepare()

    assert mode(folder.path) == before


@pytest.mark.parametrize("name", [*BOOK_FILES, *OTHER_FILES])
def test_a_file_that_other_users_can_write_to_is_refused(folder: DataFolder, name: str) -> None:
    path = add_file(folder, name, mode=0o620)

    with pytest.raises(DataFolderError, match=f"other users can write to {path}.*chmod 600"):
        folder.prepare()


def test_a_folder_of_another_user_is_refused(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    become_another_user(monkeypatch)

    with pytest.raises(DataFolderError, match=f"{folder.path} belongs to user .*chown"):
        folder.prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("name", [*BOOK_FILES, *OTHER_FILES])
def test_a_file_of_another_user_is_refused(folder: DataFolder, name: str) -> None:
    path = add_file(folder, name, mode=0o600)
    os.chown(path, 1234, -1)

    with pytest.raises(DataFolderError, match=f"{path} belongs to user 1234"):
        folder.prepare()


def test_a_secret_of_another_user_is_refused(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    randomness = SystemRandomness()
    folder.access_key(account_id=ACCOUNT, randomness=randomness)
    folder.token_signing_key()
    folder.page_token_secret(randomness=randomness)
    become_another_user(monkeypatch)

    for read in (
        lambda: folder.access_key(account_id=ACCOUNT, randomness=randomness),
        folder.token_signing_key,
        lambda: folder.page_token_secret(randomness=randomness),
    ):
        with pytest.raises(DataFolderError, match="belongs to user"):
            read()


def test_root_can_read_the_access_of_another_users_server(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    access_key = folder.access_key(account_id=ACCOUNT, randomness=SystemRandomness())
    address = ServerAddress(endpoint_url="http://127.0.0.1:8080", region="us-west-2")
    folder.write_server_address(address)
    become_another_user(monkeypatch)

    assert folder.read_server_access() == (address, access_key)


def test_a_secret_that_is_not_a_file_is_refused(folder: DataFolder) -> None:
    folder.token_key_path.symlink_to(os.devnull)

    with pytest.raises(DataFolderError, match="is not a file"):
        folder.token_signing_key()
