"""The data folder and the secrets in it: made on the first start, read on every later one, for the owner's eyes only.

Owns the names, modes and forms of those files. Must not know what is done with the secrets, nor the book's inside.
"""

import os
import string
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from stagebook.data_folder.rtmps_certificate import is_still_good, new_certificate_key, self_made_certificate
from stagebook.manager.tokens.jwt_authority import new_private_key_pem
from stagebook.stage.clock import Randomness

FOLDER_MODE = 0o700
SECRET_MODE = 0o600
OTHERS_MASK = 0o077
PAGE_SECRET_SIZE_BYTES = 32

_KEY_ID_LETTERS = string.ascii_uppercase + "234567"
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


class DataFolderError(Exception):
    """The data folder, or a file in it, cannot be used. The text names it and says what to do."""


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """The access key that the first start made."""

    access_key_id: str
    secret_access_key: str
    account_id: str

    def __repr__(self) -> str:
        return f"AccessKey(access_key_id={self.access_key_id!r})"


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the server that last ran on a data folder."""

    endpoint_url: str
    region: str


Decoded = TypeVar("Decoded")


class DataFolder:
    """A data folder. Files are made whole (written aside, then renamed) and never replaced once they hold a key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.book_path = path / "book.sqlite3"
        self.access_key_path = path / "access-key.json"
        self.token_key_path = path / "token-signing-key.pem"
        self.page_secret_path = path / "page-token-secret"
        self.presence_path = path / "server.json"
        self.certificate_path = path / "rtmps-certificate.pem"
        self.certificate_key_path = path / "rtmps-private-key.pem"

    def prepare(self) -> None:
        """Make the folder if it is missing (mode 0700). Raises DataFolderError if it cannot be written to."""
        try:
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderError(f"data folder {self.path} cannot be made: {error.strerror}") from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise DataFolderError(f"data folder {self.path} cannot be written to by this user")

    def access_key(self, *, account_id: str, randomness: Randomness) -> AccessKey:
        """Return the folder's own access key; the first call makes it, for `account_id`."""
        make = _AccessKeyMaker(account_id=account_id, randomness=randomness)
        content = _read_or_make(self.access_key_path, make)
        return _decode(content, AccessKey, path=self.access_key_path)

    def token_signing_key(self) -> bytes:
        """Return the P-384 private key that signs participant tokens, as PEM; the first call makes it."""
        return _read_or_make(self.token_key_path, new_private_key_pem)

    def page_token_secret(self, *, randomness: Randomness) -> bytes:
        """Return the secret that binds page tokens to their call; the first call makes it."""
        secret = _read_or_make(self.page_secret_path, lambda: randomness.token_bytes(PAGE_SECRET_SIZE_BYTES))
        if len(secret) != PAGE_SECRET_SIZE_BYTES:
            raise DataFolderError(f"{self.page_secret_path} is damaged: remove it to have a new one made")
        return secret

    def prepare_certificate(self, *, hosts: Sequence[str], now: datetime) -> None:
        """Have a self-made certificate for these hosts at `certificate_path`, its key at `certificate_key_path`.

        The key stays; the certificate is made anew when it does not name a host, or comes near its end.
        """
        key = _read_or_make(self.certificate_key_path, new_certificate_key)
        try:
            made = _read(self.certificate_path) if self.certificate_path.exists() else b""
            if not is_still_good(made, key, hosts=hosts, now=now):
                _write_whole(self.certificate_path, self_made_certificate(key, hosts=hosts, now=now))
        except ValueError as error:
            raise DataFolderError(
                f"{self.certificate_key_path} is damaged: remove it to have a new one made"
            ) from error

    def announce(self, presence: Presence) -> None:
        """Write down how to reach the server, for `stagebook env`."""
        _write_whole(self.presence_path, msgspec.json.encode(presence) + b"\n")

    def last_announced(self) -> tuple[Presence, AccessKey]:
        """Return how to reach the server that last ran here, and its access key.

        Raises DataFolderError when no server has run on this folder, or when its files cannot be read.
        """
        if not (self.presence_path.exists() and self.access_key_path.exists()):
            raise DataFolderError(
                f"no server has been started on data folder {self.path} yet: start one with `stagebook serve`,"
                " or name another folder with --data"
            )
        presence = _decode(_read(self.presence_path), Presence, path=self.presence_path)
        access_key = _decode(_read_secret(self.access_key_path), AccessKey, path=self.access_key_path)
        return presence, access_key


class _AccessKeyMaker(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    randomness: Randomness

    def __call__(self) -> bytes:
        """Return a new access key as JSON. The id has AWS's form: AKIA and 16 letters of base 32."""
        access_key = AccessKey(
            access_key_id="AKIA" + _letters(self.randomness, _KEY_ID_LETTERS, count=16),
            secret_access_key=_letters(self.randomness, _SECRET_LETTERS, count=40),
            account_id=self.account_id,
        )
        return msgspec.json.format(msgspec.json.encode(access_key)) + b"\n"


def _letters(randomness: Randomness, alphabet: str, *, count: int) -> str:
    # Both alphabets have a power of two of letters, so a byte's remainder has no bias.
    return "".join(alphabet[byte % len(alphabet)] for byte in randomness.token_bytes(count))


def _decode(content: bytes, kind: type[Decoded], *, path: Path) -> Decoded:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise DataFolderError(f"{path} is damaged: put its backup back, or remove it to have a new one made") from error


def _read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    if not path.exists():
        _write_whole(path, make())
    return _read_secret(path)


def _read_secret(path: Path) -> bytes:
    content = _read(path)
    if path.stat().st_mode & OTHERS_MASK:
        raise DataFolderError(f"{path} holds a secret that other users may read: run `chmod 600 {path}`")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataFolderError(f"{path} cannot be read: {error.strerror}") from error


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that is there whole or not at all, even if the power fails."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, SECRET_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise DataFolderError(f"{path} cannot be written: {error.strerror}") from error
