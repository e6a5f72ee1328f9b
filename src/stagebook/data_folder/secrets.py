"""The data folder and the secrets in it.

The first start generates the secrets, later starts read them: the access key, the private key that signs participant
tokens, the secret of page tokens, and the private key of the RTMPS certificate. The folder has mode 0700 and its files
have mode 0600; a secret that other users can read is refused.

A file is written under a temporary name, synced and renamed, so that it is complete or missing after a crash. A file
that holds a secret is never replaced, even if it is damaged.
"""

import os
import string
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from stagebook.data_folder.rtmps_certificate import is_certificate_usable, new_certificate_key, self_signed_certificate
from stagebook.manager.tokens.jwt_authority import new_private_key_pem
from stagebook.stage.clock import Randomness

FOLDER_MODE = 0o700
SECRET_MODE = 0o600
OTHERS_MASK = 0o077
PAGE_SECRET_SIZE_BYTES = 32

_KEY_ID_LETTERS = string.ascii_uppercase + "234567"
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


class DataFolderError(Exception):
    """The data folder or a file in it cannot be used. The message names it and says what to do."""


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
    """A data folder: the paths of its files, and the reading and generation of its secrets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.book_path = path / "book.sqlite3"
        self.access_key_path = path / "access-key.json"
        self.token_key_path = path / "token-signing-key.pem"
        self.page_secret_path = path / "page-token-secret"
        self.server_address_path = path / "server.json"
        self.certificate_path = path / "rtmps-certificate.pem"
        self.certificate_key_path = path / "rtmps-private-key.pem"

    def prepare(self) -> None:
        """Create the folder with mode 0700 if it is missing. Raises DataFolderError if it is not writable."""
        try:
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderError(f"data folder {self.path} cannot be created: {error.strerror}") from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise DataFolderError(f"data folder {self.path} cannot be written to by this user")

    def access_key(self, *, account_id: str, randomness: Randomness) -> AccessKey:
        """Return the access key of the folder. If there is none, generate one for `account_id`."""
        generate = _AccessKeyGenerator(account_id=account_id, randomness=randomness)
        content = _read_or_generate(self.access_key_path, generate)
        return _decode(content, AccessKey, path=self.access_key_path)

    def token_signing_key(self) -> bytes:
        """Return the P-384 private key that signs participant tokens, as PEM. Generate it if there is none."""
        return _read_or_generate(self.token_key_path, new_private_key_pem)

    def page_token_secret(self, *, randomness: Randomness) -> bytes:
        """Return the secret that authenticates page tokens. Generate it if there is none."""
        secret = _read_or_generate(self.page_secret_path, lambda: randomness.token_bytes(PAGE_SECRET_SIZE_BYTES))
        if len(secret) != PAGE_SECRET_SIZE_BYTES:
            raise DataFolderError(f"{self.page_secret_path} is damaged: remove it, then the server generates a new one")
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
                _write_atomically(self.certificate_path, self_signed_certificate(key, hosts=hosts, now=now))
        except ValueError as error:
            raise DataFolderError(
                f"{self.certificate_key_path} is damaged: remove it, then the server generates a new one"
            ) from error

    def write_server_address(self, address: ServerAddress) -> None:
        """Record the address of the running server, for `stagebook env`."""
        _write_atomically(self.server_address_path, msgspec.json.encode(address) + b"\n")

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
        access_key = _decode(_read_secret(self.access_key_path), AccessKey, path=self.access_key_path)
        return address, access_key


class _AccessKeyGenerator(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    randomness: Randomness

    def __call__(self) -> bytes:
        """Return a new access key as JSON. Its id has the form of AWS: AKIA and 16 base32 characters."""
        access_key = AccessKey(
            access_key_id="AKIA" + _letters(self.randomness, _KEY_ID_LETTERS, count=16),
            secret_access_key=_letters(self.randomness, _SECRET_LETTERS, count=40),
            account_id=self.account_id,
        )
        return msgspec.json.format(msgspec.json.encode(access_key)) + b"\n"


def _letters(randomness: Randomness, alphabet: str, *, count: int) -> str:
    # The sizes of both alphabets are powers of two that divide 256, so the remainder of a byte has no bias.
    return "".join(alphabet[byte % len(alphabet)] for byte in randomness.token_bytes(count))


def _decode(content: bytes, kind: type[Decoded], *, path: Path) -> Decoded:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise DataFolderError(f"{path} is damaged: restore it from a backup, or remove it to get a new one") from error


def _read_or_generate(path: Path, generate: Callable[[], bytes]) -> bytes:
    if not path.exists():
        _write_atomically(path, generate())
    return _read_secret(path)


def _read_secret(path: Path) -> bytes:
    content = _read(path)
    if path.stat().st_mode & OTHERS_MASK:
        raise DataFolderError(f"{path} contains a secret and other users can read it: run `chmod 600 {path}`")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataFolderError(f"{path} cannot be read: {error.strerror}") from error


def _write_atomically(path: Path, content: bytes) -> None:
    """Write a file with mode 0600. After a crash it has either the old or the complete new content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, SECRET_MODE)
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
