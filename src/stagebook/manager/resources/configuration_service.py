"""Encoder and storage configurations (API reference, those pages and the operations on them).

One that a composition uses cannot be deleted.
"""

from collections.abc import Callable

from stagebook.book.changes import DeleteResource, PutResource
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.arns import ENCODER_CONFIGURATION, STORAGE_CONFIGURATION
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.input_rules import check_frame_size, check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.resources import EncoderConfiguration, StorageConfiguration


class ConfigurationService:
    """Serves the operations that change encoder and storage configurations."""

    def __init__(self, *, unit: UnitOfWork, limits: Limits, region: str, require_unused: Callable[[str], None]) -> None:
        """`require_unused` raises ConflictError if the resource with an ARN is in use."""
        self._unit = unit
        self._limits = limits
        self._region = region
        self._require_unused = require_unused

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
        """Create an encoder configuration; return when it is durable.

        `width` and `height` are in pixels, `framerate` is in frames per second. The service model checks the range of
        each; even sides and the number of pixels are checked here. Raises InvalidInputError (tags, frame size) and
        ServiceQuotaExceededError.
        """
        check_tags(tags)
        check_frame_size(width=width, height=height)
        arn = await self._new_arn(account_id, ENCODER_CONFIGURATION)
        self._unit.pending.require_quota(account_id, ENCODER_CONFIGURATION, maximum=self._limits.encoder_configurations)
        configuration = EncoderConfiguration(
            arn=arn,
            account_id=account_id,
            created_ms=self._unit.now().wall_ms,
            name=name,
            tags=tags,
            width=width,
            height=height,
            framerate=framerate,
            bitrate_bps=bitrate_bps,
        )
        await self._unit.submit([PutResource(resource=configuration)])
        return configuration

    async def create_storage(
        self, *, account_id: str, name: str = "", tags: dict[str, str], bucket_name: str
    ) -> StorageConfiguration:
        """Create a storage configuration; the bucket is not accessed. Raises InvalidInputError (tags) and
        ServiceQuotaExceededError."""
        check_tags(tags)
        arn = await self._new_arn(account_id, STORAGE_CONFIGURATION)
        self._unit.pending.require_quota(account_id, STORAGE_CONFIGURATION, maximum=self._limits.storage_configurations)
        configuration = StorageConfiguration(
            arn=arn,
            account_id=account_id,
            created_ms=self._unit.now().wall_ms,
            name=name,
            tags=tags,
            bucket_name=bucket_name,
        )
        await self._unit.submit([PutResource(resource=configuration)])
        return configuration

    async def delete_encoder(self, *, arn: str) -> None:
        """Delete an encoder configuration. Raises ResourceNotFoundError and ConflictError."""
        if not isinstance(self._unit.pending.find(arn), EncoderConfiguration):
            raise ResourceNotFoundError(kind="encoder configuration", name=arn)
        self._require_unused(arn)
        await self._unit.submit([DeleteResource(arn=arn)])

    async def delete_storage(self, *, arn: str) -> None:
        """Delete a storage configuration. Raises ResourceNotFoundError and ConflictError."""
        if not isinstance(self._unit.pending.find(arn), StorageConfiguration):
            raise ResourceNotFoundError(kind="storage configuration", name=arn)
        self._require_unused(arn)
        await self._unit.submit([DeleteResource(arn=arn)])

    async def _new_arn(self, account_id: str, resource_type: str) -> str:
        return str(await self._unit.new_arn(region=self._region, account_id=account_id, resource_type=resource_type))
