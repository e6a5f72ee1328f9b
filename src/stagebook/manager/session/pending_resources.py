"""Resources as they will be once everything that is submitted is durable.

The book shows what is durable. A change that is submitted and not durable yet would be lost by the next change made
from what the book shows. A service that changes a resource reads it here, decides and submits without awaiting in
between; then it needs no lock and no change is lost. Readers ask the book.
"""

import asyncio
from collections.abc import Iterable

from stagebook.book.changes import Change, DeleteResource, PutResource
from stagebook.book.store import BookReader
from stagebook.stage.arns import parse_arn
from stagebook.stage.errors import ServiceQuotaExceededError
from stagebook.stage.resources import Resource


class PendingResources:
    """Reads fall through to the book unless a write for the ARN is pending."""

    def __init__(self, *, book: BookReader) -> None:
        self._book = book
        self._pending: dict[str, tuple[Resource | None, asyncio.Future[None]]] = {}

    def find(self, arn: str) -> Resource | None:
        """Return the newest state of a resource; None if it does not exist or its deletion is pending."""
        pending = self._pending.get(arn)
        return self._book.get_resource(arn) if pending is None else pending[0]

    def count(self, account_id: str, resource_type: str) -> int:
        """Return how many resources of a type the account has once pending changes are durable."""
        pending = {
            arn: resource
            for arn, (resource, _) in self._pending.items()
            if (parsed := parse_arn(arn)).account_id == account_id and parsed.resource_type == resource_type
        }
        # The writer is another thread: it can commit between two reads, for example one resource more and then one
        # less. So the count and what it includes are read twice, until both are the same.
        former = None
        while True:
            included = [self._book.get_resource(arn) is not None for arn in pending]
            durable = self._book.count_resources(account_id, resource_type)
            if (included, durable) == former:
                return durable - sum(included) + sum(resource is not None for resource in pending.values())
            former = (included, durable)

    def require_quota(self, account_id: str, resource_type: str, *, maximum: int) -> None:
        """Raise ServiceQuotaExceededError if the account has `maximum` resources of a type."""
        if self.count(account_id, resource_type) >= maximum:
            raise ServiceQuotaExceededError(quota=f"{resource_type.replace('-', ' ')}s", maximum=maximum)

    def note(self, changes: Iterable[Change], durable: asyncio.Future[None]) -> None:
        """Remember the resources of a transaction that was just submitted, until it is durable."""
        for change in changes:
            if isinstance(change, PutResource):
                self._expect(change.resource.arn, change.resource, durable)
            elif isinstance(change, DeleteResource):
                self._expect(change.arn, None, durable)

    def _expect(self, arn: str, resource: Resource | None, durable: asyncio.Future[None]) -> None:
        self._pending[arn] = (resource, durable)
        durable.add_done_callback(lambda done: self._forget(arn, done))

    def _forget(self, arn: str, durable: asyncio.Future[None]) -> None:
        pending = self._pending.get(arn)
        if pending is not None and pending[1] is durable:
            del self._pending[arn]
