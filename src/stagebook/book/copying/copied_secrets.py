"""The secrets that a book needs beside its tables, and the check that they open its stream keys.

A copy has the secrets of its source, so that page tokens, participant tokens, stream keys and the first access key stay
valid. A secret has the name of its file in a data folder; beside a book in PostgreSQL it is in table `shared_secret`.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.copying.copied_tables import COPIED_TABLES
from stagebook.book.copying.copy_ports import ReadableStore
from stagebook.book.tables.rows import resource_value
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES, SealBrokenError, StreamKeySeal
from stagebook.book.tables.table_connection import UNDECODABLE

STREAM_KEY_SECRET: Final = "stream-key-secret"  # noqa: S105 - its name
SECRET_NAMES: Final = (
    "access-key.json",
    "token-signing-key.pem",
    "page-token-secret",
    STREAM_KEY_SECRET,
    "webhook-secret",
)
_RESOURCE: Final = next(table for table in COPIED_TABLES if table.name == "resource")


class BookSecrets(Protocol):
    """Where the secrets of a book are."""

    def read_secrets(self) -> dict[str, bytes]:
        """Return the secrets that exist, by their names of SECRET_NAMES."""

    def write_secrets(self, secrets: Mapping[str, bytes]) -> None:
        """Add secrets. Those that exist are the same."""


def secrets_to_add(source: Mapping[str, bytes], target: Mapping[str, bytes], *, place: str) -> dict[str, bytes]:
    """Return the secrets of the source that the target does not have. Raises BookRefusedError if it has another one."""
    for name, value in source.items():
        if target.get(name, value) != value:
            raise BookRefusedError(
                f"{place} has another {name} than the source, and a copy replaces no secret: copy to a place on which"
                " no server was started"
            )
    return {name: value for name, value in source.items() if name not in target}


def require_opened_stream_keys(store: ReadableStore, secrets: Mapping[str, bytes]) -> None:
    """Raise BookRefusedError unless the secret of the store opens every stream key in it."""
    seal: StreamKeySeal | None = None
    kind, value = _RESOURCE.columns.index("resource_type"), _RESOURCE.columns.index("value")
    for chunk in store.chunks(_RESOURCE):
        for row in chunk:
            if row[kind] == "ingest-configuration":
                seal = seal or _seal(store, secrets)
                _require_opened(store, seal, row[value], arn=row[1])


def _seal(store: ReadableStore, secrets: Mapping[str, bytes]) -> StreamKeySeal:
    secret = secrets.get(STREAM_KEY_SECRET)
    if secret is None:
        raise BookRefusedError(
            f"{store.place} has sealed stream keys, but their secret ({STREAM_KEY_SECRET}) is missing: restore it from"
            " a backup"
        )
    if len(secret) != SECRET_SIZE_BYTES:
        raise BookRefusedError(f"the {STREAM_KEY_SECRET} of {store.place} is damaged: restore it from a backup")
    return StreamKeySeal(secret)


def _require_opened(store: ReadableStore, seal: StreamKeySeal, value: str, *, arn: str) -> None:
    try:
        seal.opened(resource_value((value,)))
    except (SealBrokenError, *UNDECODABLE) as error:
        raise BookRefusedError(
            f"the {STREAM_KEY_SECRET} of {store.place} does not open the stream keys of {arn}: restore the secret and"
            " the book from the same backup"
        ) from error
