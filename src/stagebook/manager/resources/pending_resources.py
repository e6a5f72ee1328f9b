"""The resources that stand beside stages, as they will be once everything on its way into the book is durable.

The book shows what is durable; a change that is submitted but not durable yet would be lost by the next one made from
what the book shows. Who changes a resource asks here, decides and submits without awaiting in between: then no lock is
needed and no change is lost. Readers ask the book.
"""

import asyncio
from collections.abc import Iterable

from stagebook.book.changes import Change, DeleteResource, PutResource
from stagebook.book.store import BookReader
from stagebook.stage.arns import parse_arn
from stagebook.stage.errors import ServiceQuotaExceededError
from stagebook.stage.resources import Resource


class PendingResources:
    """Sees through to the book wherever nothing is on its way."""

    def __init__(self, *, book: BookReader) -> None:
        self._book = book
        self._coming: dict[str, tuple[Resource | None, asyncio.Future[None]]] = {}

    def find(self, arn: str) -> Resource | None:
        """Return the newest state of a resource; None when there is none, or its deletion is on its way."""
        coming = self._coming.get(arn)
        return self._book.get_resource(arn) if coming is None else coming[0]

    def count(self, account_id: str, resource_type: str) -> int:
        """Return how many resources of a type the account has, those on their way in or out counted as done."""
        coming = {
            arn: resource
            for arn, (resource, _) in self._coming.items()
            if (parsed := parse_arn(arn)).account_id == account_id and parsed.resource_type == resource_type
        }
        while True:
            # The writer is a thread of its own: what it commits between two reads must not be counted twice.
            durable = self._book.count_resources(account_id, resource_type)
            difference = sum(
                (resource is not None) - (self._book.get_resource(arn) is not None) for arn, resource in coming.items()
            )
            if self._book.count_resources(account_id, resource_type) == durable:
                return durable + difference

    def require_room(self, account_id: str, resource_type: str, *, maximum: int) -> None:
        """Raise ServiceQuotaExceededError when the account has as many resources of a type as it may have."""
        if self.count(account_id, resource_type) >= maximum:
            raise ServiceQuotaExceededError(quota=f"{resource_type.replace('-', ' ')}s", maximum=maximum)

    def note(self, changes: Iterable[Change], durable: asyncio.Future[None]) -> None:
        """Take note of a transaction that was just submitted."""
        for change in changes:
            if isinstance(change, PutResource):
                self._expect(change.resource.arn, change.resource, durable)
            elif isinstance(change, DeleteResource):
                self._expect(change.arn, None, durable)

    def _expect(self, arn: str, resource: Resource | None, durable: asyncio.Future[None]) -> None:
        self._coming[arn] = (resource, durable)
        durable.add_done_callback(lambda done: self._forget(arn, done))

    def _forget(self, arn: str, durable: asyncio.Future[None]) -> None:
        coming = self._coming.get(arn)
        if coming is not None and coming[1] is durable:
            del self._coming[arn]
