"""The operations of the AWS door that Stagebook serves, one module per resource.

Each handler has the same beats: take the validated request, ask the manager or the book, answer in the model's member
names. Nothing here knows HTTP, signatures, policies or how an output becomes JSON; only the event page, the hot path,
writes its own body.
"""

from stagebook.api.aws.operation import Operation
from stagebook.api.aws.operations.compositions import CompositionOperations
from stagebook.api.aws.operations.connection_tokens import ConnectionTokenOperations
from stagebook.api.aws.operations.encoder_configurations import EncoderConfigurationOperations
from stagebook.api.aws.operations.ingest_configurations import IngestConfigurationOperations
from stagebook.api.aws.operations.participant_events import ParticipantEventOperations
from stagebook.api.aws.operations.participant_replication import ReplicationOperations
from stagebook.api.aws.operations.participant_tokens import ParticipantTokenOperations
from stagebook.api.aws.operations.participants import ParticipantOperations
from stagebook.api.aws.operations.public_keys import PublicKeyOperations
from stagebook.api.aws.operations.stage_sessions import StageSessionOperations
from stagebook.api.aws.operations.stages import StageOperations
from stagebook.api.aws.operations.storage_configurations import StorageConfigurationOperations
from stagebook.api.aws.operations.tags import TagOperations
from stagebook.api.aws.page_token import PageTokens
from stagebook.manager.stage_manager import StageManager


def operations(manager: StageManager, *, page_token_secret: bytes, oldest_first: bool = False) -> dict[str, Operation]:
    """Return every served operation by its name.

    `page_token_secret` seals page tokens (up to 64 bytes); tokens stay good as long as it stays the same.
    `oldest_first` turns the order of ListParticipantEvents round.
    """
    page_tokens = PageTokens(secret=page_token_secret)
    served = (
        *StageOperations(manager, page_tokens).operations(),
        *ParticipantTokenOperations(manager).operations(),
        *StageSessionOperations(manager.book, page_tokens).operations(),
        *ParticipantOperations(manager, page_tokens).operations(),
        *ParticipantEventOperations(manager.book, page_tokens, oldest_first=oldest_first).operations(),
        *PublicKeyOperations(manager, page_tokens).operations(),
        *ConnectionTokenOperations(manager).operations(),
        *IngestConfigurationOperations(manager, page_tokens).operations(),
        *EncoderConfigurationOperations(manager, page_tokens).operations(),
        *StorageConfigurationOperations(manager, page_tokens).operations(),
        *CompositionOperations(page_tokens).operations(),
        *ReplicationOperations(manager, page_tokens).operations(),
        *TagOperations(manager).operations(),
    )
    return {operation.name: operation for operation in served}
