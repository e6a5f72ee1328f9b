"""Index of ingest configurations: by the ids of their participants, and by the stage they are attached to.

An account is read from the book once, when it is first used, and kept in step by the service that changes
configurations. Its size is bounded by the quota of ingest configurations. It holds no stream keys.
"""

from stagebook.book.store import BookReader
from stagebook.stage.arns import INGEST_CONFIGURATION
from stagebook.stage.resources import IngestConfiguration

_PAGE_SIZE = 1_000


class _AccountIndex:
    def __init__(self) -> None:
        self.by_participant: dict[str, str] = {}
        self.by_stage: dict[str, dict[str, None]] = {}

    def add(self, configuration: IngestConfiguration) -> None:
        for participant_id in participant_ids(configuration):
            self.by_participant[participant_id] = configuration.arn
        if configuration.stage_arn:
            self.by_stage.setdefault(configuration.stage_arn, {})[configuration.arn] = None

    def remove(self, configuration: IngestConfiguration) -> None:
        for participant_id in participant_ids(configuration):
            del self.by_participant[participant_id]
        if configuration.stage_arn:
            attached = self.by_stage[configuration.stage_arn]
            del attached[configuration.arn]
            if not attached:
                del self.by_stage[configuration.stage_arn]


class IngestConfigurationIndex:
    """The indexes of all accounts that were used."""

    def __init__(self, *, book: BookReader) -> None:
        self._book = book
        self._accounts: dict[str, _AccountIndex] = {}

    def of_participant(self, account_id: str, participant_id: str) -> str | None:
        """Return the ARN of the configuration that a participant id belongs to, or None."""
        return self._account(account_id).by_participant.get(participant_id)

    def has_participant(self, account_id: str, participant_id: str) -> bool:
        """Return whether a participant id belongs to a configuration of an account."""
        return self.of_participant(account_id, participant_id) is not None

    def of_stage(self, account_id: str, stage_arn: str) -> tuple[str, ...]:
        """Return the ARNs of the configurations that are attached to a stage."""
        return tuple(self._account(account_id).by_stage.get(stage_arn, ()))

    def change(self, before: IngestConfiguration | None, after: IngestConfiguration | None) -> None:
        """Follow a change of one configuration; None stands for one that does not exist.

        Call it before the change is submitted, so that an account is never read half changed.
        """
        for configuration, follow in ((before, _AccountIndex.remove), (after, _AccountIndex.add)):
            if configuration is not None:
                follow(self._account(configuration.account_id), configuration)

    def _account(self, account_id: str) -> _AccountIndex:
        known = self._accounts.get(account_id)
        if known is None:
            known = self._accounts[account_id] = _AccountIndex()
            position: int | None = None
            while True:
                page = self._book.list_resources(account_id, INGEST_CONFIGURATION, after=position, limit=_PAGE_SIZE)
                for resource in page.items:
                    if isinstance(resource, IngestConfiguration):
                        known.add(resource)
                position = page.next_position
                if position is None:
                    break
        return known


def participant_ids(configuration: IngestConfiguration) -> tuple[str, ...]:
    """Return the ids of a configuration's participants: its own, and one for each redundant stream."""
    redundant = (credential.participant_id for credential in configuration.redundant_credentials)
    return (configuration.participant_id, *redundant)
