"""Encoder and storage configurations: made and deleted; nothing uses them until there are compositions and recordings.

Source: API reference, EncoderConfiguration and StorageConfiguration and the operations on them.
"""

from stagebook.book.changes import DeleteResource, PutResource
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.arns import Arn
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.ids import new_resource_id
from stagebook.stage.input_rules import check_picture, check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.resources import EncoderConfiguration, StorageConfiguration

ENCODER = "encoder-configuration"
STORAGE = "storage-configuration"
"""Resource types, as in ARNs."""


class ConfigurationService:
    """Serves the operations that change encoder and storage configurations."""

    def __init__(self, *, ledger: UnitOfWork, limits: Limits, region: str, randomness: Randomness) -> None:
        self._ledger = ledger
        self._limits = limits
        self._region = region
        self._randomness = randomness

    async def create_encoder(
        self,
        *,
        account_id: str,
        name: str = "",
        tags: dict[str, str],
        width: int,
        height: int,
        framerate: float,
        bitrate_bps: int,
    ) -> EncoderConfiguration:
        """Make an encoder configuration. Raises InvalidInputError (tags, picture) and ServiceQuotaExceededError."""
        check_tags(tags)
        check_picture(width=width, height=height)
        self._ledger.shelf.require_room(account_id, ENCODER, maximum=self._limits.encoder_configurations)
        configuration = EncoderConfiguration(
            arn=self._new_arn(account_id, ENCODER),
            account_id=account_id,
            created_ms=self._ledger.now_ms(),
            name=name,
            tags=tags,
            width=width,
            height=height,
            framerate=framerate,
            bitrate_bps=bitrate_bps,
        )
        await self._ledger.submit([PutResource(resource=configuration)])
        return configuration

    async def create_storage(
        self, *, account_id: str, name: str = "", tags: dict[str, str], bucket_name: str
    ) -> StorageConfiguration:
        """Make a storage configuration; the bucket is not looked at. Raises InvalidInputError (tags) and
        ServiceQuotaExceededError."""
        check_tags(tags)
        self._ledger.shelf.require_room(account_id, STORAGE, maximum=self._limits.storage_configurations)
        configuration = StorageConfiguration(
            arn=self._new_arn(account_id, STORAGE),
            account_id=account_id,
            created_ms=self._ledger.now_ms(),
            name=name,
            tags=tags,
            bucket_name=bucket_name,
        )
        await self._ledger.submit([PutResource(resource=configuration)])
        return configuration

    async def delete_encoder(self, *, arn: str) -> None:
        """Delete an encoder configuration. Raises ResourceNotFoundError."""
        if not isinstance(self._ledger.shelf.find(arn), EncoderConfiguration):
            raise ResourceNotFoundError(kind="encoder configuration", name=arn)
        await self._ledger.submit([DeleteResource(arn=arn)])

    async def delete_storage(self, *, arn: str) -> None:
        """Delete a storage configuration. Raises ResourceNotFoundError."""
        if not isinstance(self._ledger.shelf.find(arn), StorageConfiguration):
            raise ResourceNotFoundError(kind="storage configuration", name=arn)
        await self._ledger.submit([DeleteResource(arn=arn)])

    def _new_arn(self, account_id: str, resource_type: str) -> str:
        resource_id = new_resource_id(self._randomness)
        return str(
            Arn(region=self._region, account_id=account_id, resource_type=resource_type, resource_id=resource_id)
        )
