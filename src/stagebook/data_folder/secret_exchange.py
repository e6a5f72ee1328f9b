"""The secrets that all nodes of one book share.

A participant token, a page token or a request that one node has signed must be valid at every other, and each node must
open the stream keys in the book. So the secrets of the data folders are the same on all nodes: the first node generates
them and stores them beside the book, the others write them to their data folders. Whatever reads the secrets of a data
folder, the command line included, works as with one server.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from stagebook.data_folder.folder_permissions import DataFolderError
from stagebook.data_folder.secrets import DataFolder, write_atomically
from stagebook.stage.clock import Randomness


class SecretStore(Protocol):
    """The secrets beside the book, by their names."""

    def find(self, name: str) -> bytes | None:
        """Return a secret, None if there is none."""

    def share(self, name: str, value: bytes) -> bytes:
        """Store a secret unless there is one of this name; return the stored one, which another node may have made."""


def exchange_secrets(folder: DataFolder, store: SecretStore, *, account_id: str, randomness: Randomness) -> None:
    """Make the secrets of a data folder those of its book. What neither has is generated, for account `account_id`.

    Raises DataFolderError for a data folder that has another secret than the book.
    """
    generators: tuple[Callable[[], object], ...] = (
        lambda: folder.access_key(account_id=account_id, randomness=randomness),
        folder.token_signing_key,
        lambda: folder.page_token_secret(randomness=randomness),
        lambda: folder.stream_key_secret(randomness=randomness, may_generate=True),
        lambda: folder.webhook_secret(randomness=randomness),
    )
    for path, generate in zip(shared_secret_paths(folder), generators, strict=True):
        _exchange(path, store, generate)


def shared_secret_paths(folder: DataFolder) -> tuple[Path, ...]:
    """Return the files of a data folder that all nodes of a book have, each under its name in the store."""
    return (
        folder.access_key_path,
        folder.token_key_path,
        folder.page_secret_path,
        folder.stream_key_secret_path,
        folder.webhook_secret_path,
    )


def _exchange(path: Path, store: SecretStore, generate: Callable[[], object]) -> None:
    was_here = path.exists()
    stored = store.find(path.name)
    if not was_here and stored is None:
        generate()
    if stored is None:
        stored = store.share(path.name, path.read_bytes())
    if not was_here:
        # Also after a generation: another node may have stored its secret in between.
        write_atomically(path, stored)
    elif path.read_bytes() != stored:
        raise DataFolderError(
            f"{path} is not the {path.stem} of the book in the database: this data folder belongs to another book."
            " Name a new data folder with --data; the server then takes the secrets of the book"
        )
