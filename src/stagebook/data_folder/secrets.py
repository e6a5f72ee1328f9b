"""The data folder and the secrets in it.

The first start generates the secrets, later starts read them: the access key, the private key that signs participant
tokens, the secret of page tokens, the secret that seals stream keys in the book, and the private key of the RTMPS
certificate. The folder has mode 0700 and its files have mode 0600; `folder_permissions` says which other owners and
modes are refused and which are repaired.

A file is written under a temporary name, synced and renamed, so that it is complete or missing after a crash. A file
that holds a secret is never replaced, even if it is damaged.

The owner of the folder must hold the BookLock while it generates secrets. Two first starts at the same time would
otherwise generate two sets: the one that loses the lock could replace a key that the other one has read already.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from stagebook.api.access.sigv4.credentials import new_access_key_id, new_secret_access_key
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES
from stagebook.data_folder.folder_permissions import (
    FILE_MODE,
    FOLDER_MODE,
    DataFolderError,
    make_private,
    read_secret_file,
)
from stagebook.data_folder.rtmps_certificate import is_certificate_usable, new_certificate_key, self_signed_certificate
from stagebook.history.history_files import SEARCH_INDEX_NAME
from stagebook.manager.tokens.jwt_authority import new_private_key_pem
from stagebook.stage.clock import Randomness

PAGE_SECRET_SIZE_BYTES = 32
BEARER_KEY_FILE_NAME = "bearer-keys.json"


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """The access key that the first start generated."""

    access_key_id: str
    secret_access_key: str
    account_id: str

    def __repr__(self) -> str:
        return f"AccessKey(access_key_id={self.access_key_id!r})"


class ServerAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint URL and the region of the server that last ran on a data folder."""

    endpoint_url: str
    region: str


Decoded = TypeVar("Decoded")


class DataFolder:
    """A data folder: the paths of its files, and the reading and generation of its secrets.

    `repaired_paths` are those that other users could read when `prepare` was called.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.book_path = path / "book.sqlite3"
        self.access_key_path = path / "access-key.json"
        self.token_key_path = path / "token-signing-key.pem"
        self.page_secret_path = path / "page-token-secret"
        self.stream_key_secret_path = path / "stream-key-secret"
        self.webhook_path = path / "webhooks.sqlite3"
        self.webhook_secret_path = path / "webhook-secret"
        self.server_address_path = path / "server.json"
        self.certificate_path = path / "rtmps-certificate.pem"
        self.certificate_key_path = path / "rtmps-private-key.pem"
        self.testing_mark_path = path / "for-testing"
        self.search_index_path = path / SEARCH_INDEX_NAME
        self.recordings_path = path / "recordings"
        self.repaired_paths: list[Path] = []

    def prepare(self) -> None:
        """Create the folder with mode 0700 if it is missing, and check the owner and mode of the folder and its files.

        The modes of paths that other users could read are repaired. Secrets are checked when they are read. Raises
        DataFolderError if the folder is not writable, if another user owns the folder or a file, or if other users can
        write to one.
        """
        try:
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderError(f"data folder {self.path} cannot be created: {error.strerror}") from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise DataFolderError(f"data folder {self.path} cannot be written to by this user")
        # The folder first: once it is private, no other user can reach the files while they are checked.
        repaired = [self.path] if make_private(self.path, mode=FOLDER_MODE) else []
        files = [path for path in self.other_paths if path.exists()]
        self.repaired_paths = repaired + [path for path in files if make_private(path, mode=FILE_MODE)]

    @property
    def secret_paths(self) -> list[Path]:
        """The paths of all secrets of the folder, whether they exist or not."""
        keys = [self.access_key_path, self.token_key_path, self.certificate_key_path, self.path / BEARER_KEY_FILE_NAME]
        return [*keys, self.page_secret_path, self.stream_key_secret_path, self.webhook_secret_path]

    @property
    def other_paths(self) -> list[Path]:
        """The paths of all files of the folder except the secrets, whether they exist or not."""
        # SQLite keeps the write-ahead log and its index beside the book; both hold the contents of the book.
        of_book = [self.book_path.with_name(self.book_path.name + suffix) for suffix in ("", "-wal", "-shm", ".lock")]
        of_book += [self.webhook_path.with_name(self.webhook_path.name + suffix) for suffix in ("", "-wal", "-shm")]
        of_index = [self.search_index_path.with_name(SEARCH_INDEX_NAME + suffix) for suffix in ("", "-wal", "-shm")]
        return [*of_book, *of_index, self.certificate_path, self.server_address_path, self.testing_mark_path]

    def access_key(self, *, account_id: str, randomness: Randomness) -> AccessKey:
        """Return the access key of the folder. If there is none, generate one for `account_id`."""
        generate = _AccessKeyGenerator(account_id=account_id, randomness=randomness)
        content = _read_or_generate(self.access_key_path, generate)
        return _decode(content, AccessKey, path=self.access_key_path)

    def account_id(self) -> str | None:
        """Return the account of the access key of the folder; None if no server has been started on it yet."""
        if not self.access_key_path.exists():
            return None
        content = read_secret_file(self.access_key_path, owner_id=self.path.stat().st_uid)
        return _decode(content, AccessKey, path=self.access_key_path).account_id

    def token_signing_key(self) -> bytes:
        """Return the P-384 private key that signs participant tokens, as PEM. Generate it if there is none."""
        return _read_or_generate(self.token_key_path, new_private_key_pem)

    def page_token_secret(self, *, randomness: Randomness) -> bytes:
        """Return the secret that authenticates page tokens. Generate it if there is none. Raises DataFolderError."""
        secret = _read_or_generate(self.page_secret_path, lambda: randomness.token_bytes(PAGE_SECRET_SIZE_BYTES))
        if len(secret) != PAGE_SECRET_SIZE_BYTES:
            raise DataFolderError(f"{self.page_secret_path} is damaged: remove it, then the server generates a new one")
        return secret

    def stream_key_secret(self, *, randomness: Randomness, may_generate: bool) -> bytes:
        """Return the secret that seals the stream keys in the book.

        A missing one is generated if `may_generate` is true. It must not be if the book has sealed keys, because a new
        secret does not open them. Raises DataFolderError.
        """
        path = self.stream_key_secret_path
        if not may_generate and not path.exists():
            raise DataFolderError(
                f"{path} is missing and the stream keys in {self.book_path} are sealed with it: restore it from a"
                " backup (docs/operating.md says what to do without one)"
            )
        secret = _read_or_generate(path, lambda: randomness.token_bytes(SECRET_SIZE_BYTES))
        if len(secret) != SECRET_SIZE_BYTES:
            raise DataFolderError(f"{path} is damaged: restore it from a backup")
        return secret

    def webhook_secret(self, *, randomness: Randomness) -> bytes:
        """Return the secret that seals the secrets of webhooks. Generate it if there is none.

        Raises DataFolderError.
        """
        secret = _read_or_generate(self.webhook_secret_path, lambda: randomness.token_bytes(SECRET_SIZE_BYTES))
        if len(secret) != SECRET_SIZE_BYTES:
            raise DataFolderError(f"{self.webhook_secret_path} is damaged: restore it from a backup")
        return secret

    def prepare_certificate(self, *, hosts: Sequence[str], now: datetime) -> None:
        """Ensure a usable self-signed certificate at `certificate_path`, and its key at `certificate_key_path`.

        An existing key is kept. The certificate is generated if it is missing, damaged, does not name all `hosts` or is
        due for renewal at `now`. Raises DataFolderError.
        """
        key = _read_or_generate(self.certificate_key_path, new_certificate_key)
        try:
            existing = _read(self.certificate_path) if self.certificate_path.exists() else b""
            if not is_certificate_usable(existing, key, hosts=hosts, now=now):
                write_atomically(self.certificate_path, self_signed_certificate(key, hosts=hosts, now=now))
        except ValueError as error:
            raise DataFolderError(
                f"{self.certificate_key_path} is damaged: remove it, then the server generates a new one"
            ) from error

    def write_server_address(self, address: ServerAddress) -> None:
        """Record the address of the running server, for `stagebook env`."""
        write_atomically(self.server_address_path, msgspec.json.encode(address) + b"\n")

    def read_server_access(self) -> tuple[ServerAddress, AccessKey]:
        """Return the address of the server that last ran on this folder, and its access key.

        Raises DataFolderError if no server has run on this folder or if the files cannot be read.
        """
        if not (self.server_address_path.exists() and self.access_key_path.exists()):
            raise DataFolderError(
                f"no server has been started on data folder {self.path} yet: start one with `stagebook serve`,"
                " or name another folder with --data"
            )
        address = _decode(_read(self.server_address_path), ServerAddress, path=self.server_address_path)
        # Root may read the access of a server that another user runs: the folder's owner counts, not the process's.
        content = read_secret_file(self.access_key_path, owner_id=self.path.stat().st_uid)
        return address, _decode(content, AccessKey, path=self.access_key_path)


class _AccessKeyGenerator(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    randomness: Randomness

    def __call__(self) -> bytes:
        """Return a new access key as JSON."""
        access_key = AccessKey(
            access_key_id=new_access_key_id(self.randomness),
            secret_access_key=new_secret_access_key(self.randomness),
            account_id=self.account_id,
        )
        return msgspec.json.format(msgspec.json.encode(access_key)) + b"\n"


def _decode(content: bytes, kind: type[Decoded], *, path: Path) -> Decoded:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataFolderError(f"{path} is damaged: restore it from a backup, or remove it to get a new one") from error


def _read_or_generate(path: Path, generate: Callable[[], bytes]) -> bytes:
    if not path.exists():
        write_atomically(path, generate())
    return read_secret_file(path, owner_id=os.geteuid())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataFolderError(f"{path} cannot be read: {error.strerror}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file with mode 0600. After a crash it has either the old or the complete new content.

    Raises DataFolderError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        # The rename is durable once the folder is synced too.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise DataFolderError(f"{path} cannot be written: {error.strerror}") from error
