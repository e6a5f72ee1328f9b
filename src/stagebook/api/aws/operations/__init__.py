"""The operations of the AWS API, one module per kind of resource.

A handler takes the validated request, calls the stage manager (writes) or reads the book, and returns the output as a
mapping with the member names of the service model. Only ListParticipantEvents, the hot path, encodes its own body.
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
from stagebook.book.book_pages import BookPages
from stagebook.manager.stage_manager import StageManager


def operations(
    manager: StageManager, pages: BookPages, *, page_token_secret: bytes, oldest_first: bool = False
) -> dict[str, Operation]:
    """Return every operation that Stagebook implements, by name. `pages` reads the book of the manager.

    `page_token_secret` is the key of the page tokens, up to 64 bytes; a token is valid as long as the secret is the
    same. `oldest_first` reverses the order of ListParticipantEvents.
    """
    page_tokens = PageTokens(secret=page_token_secret)
    implemented = (
        *StageOperations(manager, pages, page_tokens).operations(),
        *ParticipantTokenOperations(manager).operations(),
        *StageSessionOperations(pages, page_tokens).operations(),
        *ParticipantOperations(manager, pages, page_tokens).operations(),
        *ParticipantEventOperations(pages, page_tokens, oldest_first=oldest_first).operations(),
        *PublicKeyOperations(manager, pages, page_tokens).operations(),
        *ConnectionTokenOperations(manager).operations(),
        *IngestConfigurationOperations(manager, page_tokens).operations(),
        *EncoderConfigurationOperations(manager, pages, page_tokens).operations(),
        *StorageConfigurationOperations(manager, pages, page_tokens).operations(),
        *CompositionOperations(manager, pages, page_tokens).operations(),
        *ReplicationOperations(manager, pages, page_tokens).operations(),
        *TagOperations(manager, pages).operations(),
    )
    return {operation.name: operation for operation in implemented}
