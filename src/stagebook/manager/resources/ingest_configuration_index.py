"""Index of ingest configurations by the ids of their participants.

All configurations of an account are read from the book once, before the account is served. A request that read them
would block the event loop: an account can have 10,000. The service that changes configurations then keeps the index up
to date. Its size is bounded by the quota of ingest configurations. It holds no stream keys.
"""

from collections.abc import Iterator
from functools import partial

from stagebook.book.decision_book import DecisionBook
from stagebook.book.store import BookReader
from stagebook.stage.arns import INGEST_CONFIGURATION
from stagebook.stage.resources import IngestConfiguration, Resource

_PAGE_SIZE = 1_000


class IngestConfigurationIndex:
    """The indexes of all accounts that have configurations."""

    def __init__(self) -> None:
        self._accounts: dict[str, dict[str, str]] = {}

    async def load(self, book: DecisionBook, account_id: str | None) -> None:
        """Index the configurations of an account, None for those of all accounts. Call it before it is served."""
        for resource in await book.read(account_id, partial(_read_configurations, account_id=account_id)):
            self.change(None, resource if isinstance(resource, IngestConfiguration) else None)

    def of_participant(self, account_id: str, participant_id: str) -> str | None:
        """Return the ARN of the configuration that a participant id belongs to, or None.

        Ids of deleted configurations and of redundant streams that were switched off are unknown at once, before the
        change is durable.
        """
        account = self._accounts.get(account_id)
        return None if account is None else account.get(participant_id)

    def has_participant(self, account_id: str, participant_id: str) -> bool:
        """Return whether a participant id belongs to a configuration of an account."""
        return self.of_participant(account_id, participant_id) is not None

    def change(self, before: IngestConfiguration | None, after: IngestConfiguration | None) -> None:
        """Follow a change of one configuration; None stands for one that does not exist.

        Call it in the same step as the submission of the change, so that the index is never behind.
        """
        if before is not None:
            for participant_id in participant_ids(before):
                del self._accounts[before.account_id][participant_id]
        if after is not None:
            account = self._accounts.setdefault(after.account_id, {})
            account.update(dict.fromkeys(participant_ids(after), after.arn))


def iterate_resources(reader: BookReader, resource_type: str, *, account_id: str | None) -> Iterator[Resource]:
    """Yield the resources of one type of an account, None for those of all accounts. Reads pages."""
    position: int | None = None
    while True:
        if account_id is None:
            page = reader.list_resources_of_type(resource_type, after=position, limit=_PAGE_SIZE)
        else:
            page = reader.list_resources(account_id, resource_type, after=position, limit=_PAGE_SIZE)
        yield from page.items
        position = page.next_position
        if position is None:
            return


def _read_configurations(reader: BookReader, *, account_id: str | None) -> list[Resource]:
    return list(iterate_resources(reader, INGEST_CONFIGURATION, account_id=account_id))


def participant_ids(configuration: IngestConfiguration) -> tuple[str, ...]:
    """Return the ids of a configuration's participants: its own, and one for each redundant stream."""
    redundant = (credential.participant_id for credential in configuration.redundant_credentials)
    return (configuration.participant_id, *redundant)
