"""The values of one account that decisions need, read from the book before the account is served."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import msgspec

from stagebook.book.book_values import Page, Revocation
from stagebook.book.store import BookReader
from stagebook.stage.arns import ENCODER_CONFIGURATION, INGEST_CONFIGURATION, PUBLIC_KEY, STORAGE_CONFIGURATION
from stagebook.stage.resources import Resource, Stage, StageSession

VALUES_PER_PAGE = 1_000
RESOURCE_TYPES = (PUBLIC_KEY, INGEST_CONFIGURATION, ENCODER_CONFIGURATION, STORAGE_CONFIGURATION)
"""The types of standalone resources."""

_Item = TypeVar("_Item")


class LoadedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account: what is not deleted, and what was revoked. `sessions` are the open ones."""

    account_id: str
    stages: tuple[Stage, ...] = ()
    sessions: tuple[StageSession, ...] = ()
    resources: tuple[Resource, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    connection_tokens: tuple[str, ...] = ()


def read_account(reader: BookReader, account_id: str) -> LoadedAccount:
    """Return the account, read in pages. Nobody may write changes of the account meanwhile.

    Raises BookFailedError and BookDamagedError.
    """
    resources: list[Resource] = []
    for resource_type in RESOURCE_TYPES:
        resources += _items(partial(reader.list_resources, account_id, resource_type))
    return LoadedAccount(
        account_id=account_id,
        stages=tuple(_items(partial(reader.list_stages, account_id))),
        sessions=tuple(reader.list_open_sessions(account_id=account_id)),
        resources=tuple(resources),
        revocations=tuple(reader.iterate_revocations(account_id)),
        connection_tokens=tuple(reader.iterate_revoked_connection_tokens(account_id)),
    )


def _items(read: Callable[..., Page[_Item]]) -> Iterator[_Item]:
    position: int | None = None
    while True:
        page = read(after=position, limit=VALUES_PER_PAGE)
        yield from page.items
        position = page.next_position
        if position is None:
            return
