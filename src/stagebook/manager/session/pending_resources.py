"""Resources as they will be once everything that is submitted is durable.

The book returns durable state only. A service that changed a resource on the basis of that state would overwrite a
change that is submitted and not durable yet. So services read a resource here, decide, and submit without awaiting in
between. They need no lock, and no change is lost. Read operations of the API read the book.

The resources of an account are counted when a quota first needs it, and the count then follows each change. Counting
anew for each creation would read every pending resource: n creations at once would need n squared reads.
"""

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from stagebook.book.changes import Change, DeleteResource, PutResource
from stagebook.book.decision_book import DecisionReader
from stagebook.stage.arns import parse_arn
from stagebook.stage.errors import ServiceQuotaExceededError
from stagebook.stage.resources import Resource

_AccountAndType: TypeAlias = tuple[str, str]


class ResourceChange(msgspec.Struct, frozen=True):
    """A change of a resource that is about to be submitted; `resource` is None for a deletion."""

    arn: str
    resource: Resource | None
    is_known: bool
    """Whether the resource exists before this change."""


class PendingResources:
    """Reads fall through to the book unless a write for the ARN is pending."""

    def __init__(self, *, book: DecisionReader) -> None:
        self._book = book
        self._counts: dict[_AccountAndType, int] = {}
        self._pending: dict[str, tuple[Resource | None, asyncio.Future[None]]] = {}

    def find(self, arn: str) -> Resource | None:
        """Return the newest state of a resource; None if it does not exist or its deletion is pending."""
        pending = self._pending.get(arn)
        return self._book.get_resource(arn) if pending is None else pending[0]

    def count(self, account_id: str, resource_type: str) -> int:
        """Return how many resources of a type the account has, pending creations and deletions included."""
        key = (account_id, resource_type)
        known = self._counts.get(key)
        if known is None:
            known = self._counts[key] = self._count_anew(key)
        return known

    def _count_anew(self, key: _AccountAndType) -> int:
        pending = {arn: resource for arn, (resource, _) in self._pending.items() if _account_and_type(arn) == key}
        # The writer is another thread: it can commit between two reads, for example one resource more and then one
        # less. So the count and what it includes are read twice, until both are the same.
        former = None
        while True:
            included = [self._book.get_resource(arn) is not None for arn in pending]
            durable = self._book.count_resources(*key)
            if (included, durable) == former:
                return durable - sum(included) + sum(resource is not None for resource in pending.values())
            former = (included, durable)

    def require_quota(self, account_id: str, resource_type: str, *, maximum: int) -> None:
        """Raise ServiceQuotaExceededError if the account has `maximum` resources of a type."""
        if self.count(account_id, resource_type) >= maximum:
            raise ServiceQuotaExceededError(quota=f"{resource_type.replace('-', ' ')}s", maximum=maximum)

    def prepare(self, changes: Iterable[Change]) -> list[ResourceChange]:
        """Return the changes of resources in a transaction that is about to be submitted, for `note`.

        It must be called before the submission: as soon as the transaction is submitted, the book can show it, and
        whether a resource existed before can no longer be read.
        """
        prepared: list[ResourceChange] = []
        exists: dict[str, bool] = {}
        for change in changes:
            if type(change) is PutResource:
                arn, resource = change.resource.arn, change.resource
            elif type(change) is DeleteResource:
                arn, resource = change.arn, None
            else:
                continue
            if arn not in exists:
                exists[arn] = self.find(arn) is not None
            prepared.append(ResourceChange(arn, resource, exists[arn]))
            exists[arn] = resource is not None
        return prepared

    def note(self, prepared: Iterable[ResourceChange], durable: asyncio.Future[None]) -> None:
        """Remember the resources of a transaction that was just submitted, until it is durable."""
        for change in prepared:
            key = _account_and_type(change.arn)
            if key in self._counts:
                self._counts[key] += (change.resource is not None) - change.is_known
            self._expect(change.arn, change.resource, durable)

    def _expect(self, arn: str, resource: Resource | None, durable: asyncio.Future[None]) -> None:
        self._pending[arn] = (resource, durable)
        durable.add_done_callback(lambda done: self._forget(arn, done))

    def _forget(self, arn: str, durable: asyncio.Future[None]) -> None:
        pending = self._pending.get(arn)
        if pending is not None and pending[1] is durable:
            del self._pending[arn]


def _account_and_type(arn: str) -> _AccountAndType:
    parsed = parse_arn(arn)
    return parsed.account_id, parsed.resource_type
