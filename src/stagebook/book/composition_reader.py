"""The port for reads of compositions and their events."""

from typing import Protocol

import msgspec

from stagebook.book.book_values import Page
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.stage.composition.composition import Composition


class CompositionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which compositions match: those that match every member that is given. None matches every composition.

    `ended_after_ms` matches those that have not ended, or ended after this time in ms since the epoch.
    """

    account_id: str | None = None
    stage_arn: str | None = None
    configuration_arn: str | None = None
    """An encoder or storage configuration that a destination uses."""
    ended_after_ms: int | None = None


class CompositionReader(Protocol):
    """Reads of compositions. They see what is durable, also of deleted stages. Errors are those of `BookReader`."""

    def find(self, arn: str) -> Composition | None:
        """Return a composition, running or ended; None if there is none, or retention has deleted it."""

    def page(self, where: CompositionFilter, *, after: int | None, limit: int) -> Page[Composition]:
        """Return a page of the compositions that match, newest first.

        A page looks at a bounded number of compositions. So it can have fewer items than `limit`, or none, and still a
        next position.
        """

    def list_open(self, *, account_id: str | None = None) -> list[Composition]:
        """Return every composition that has not ended, in order of creation. Recovery after a restart needs them.

        With `account_id`, those of the account.
        """

    def list_ended_after(self, time_ms: int, *, account_id: str | None = None) -> list[Composition]:
        """Return every composition that ended after a time in ms since the epoch. A start needs them.

        With `account_id`, those of the account.
        """

    def page_events(self, arn: str, *, after: int | None, limit: int) -> Page[LoggedCompositionEvent]:
        """Return a page of the events of a composition, oldest first."""
