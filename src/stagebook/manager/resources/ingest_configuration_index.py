"""Which ingest configuration a participant id belongs to, and which configurations are attached to a stage.

Read from the book once an account, and kept in step by the one who changes configurations. Bounded by the quota of
ingest configurations. Holds no configuration itself and no stream key.
"""

from stagebook.book.store import BookReader
from stagebook.stage.resources import IngestConfiguration
from stagebook.stage.stream_keys import INGEST_CONFIGURATION

_PAGE_SIZE = 1_000


class _OfAccount:
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
    """Answers for one account at a time; whoever names an account the first time waits for its configurations."""

    def __init__(self, *, book: BookReader) -> None:
        self._book = book
        self._accounts: dict[str, _OfAccount] = {}

    def of_participant(self, account_id: str, participant_id: str) -> str | None:
        """Return the ARN of the configuration that brings in this participant, or None."""
        return self._account(account_id).by_participant.get(participant_id)

    def of_stage(self, account_id: str, stage_arn: str) -> tuple[str, ...]:
        """Return the ARNs of the configurations that are attached to a stage."""
        return tuple(self._account(account_id).by_stage.get(stage_arn, ()))

    def change(self, before: IngestConfiguration | None, after: IngestConfiguration | None) -> None:
        """Follow a change of one configuration: None stands for one that does not exist (yet, or any more).

        Must be called before the change is handed to the book, so that an account is never read half changed.
        """
        for configuration, follow in ((before, _OfAccount.remove), (after, _OfAccount.add)):
            if configuration is not None:
                follow(self._account(configuration.account_id), configuration)

    def _account(self, account_id: str) -> _OfAccount:
        known = self._accounts.get(account_id)
        if known is None:
            known = self._accounts[account_id] = _OfAccount()
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
    """Return every id that participants of a configuration have: its own, and one for each redundant stream."""
    redundant = (credential.participant_id for credential in configuration.redundant_credentials)
    return (configuration.participant_id, *redundant)
