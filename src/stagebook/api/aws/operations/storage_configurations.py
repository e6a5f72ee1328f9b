"""CreateStorageConfiguration, GetStorageConfiguration, ListStorageConfigurations, DeleteStorageConfiguration
(API reference, StorageConfiguration)."""

from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.arns import STORAGE_CONFIGURATION
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.resources import Resource, StorageConfiguration

_MAXIMUM_PAGE_SIZE = 100


class StorageConfigurationOperations:
    """The operations on storage configurations."""

    def __init__(self, manager: StageManager, pages: BookPages, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._pages = pages
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="CreateStorageConfiguration", handle=self.create),
            Operation(name="GetStorageConfiguration", handle=self.get, resource_member="arn"),
            Operation(name="ListStorageConfigurations", handle=self.list),
            Operation(name="DeleteStorageConfiguration", handle=self.delete, resource_member="arn"),
        )

    async def create(self, call: Call) -> Result:
        """Create a configuration. Unlike AWS, the server neither checks the bucket nor changes its policy."""
        request = call.request
        configuration = await self._manager.configurations.create_storage(
            account_id=call.caller.account_id,
            name=request.get("name", ""),
            tags=request.get("tags", {}),
            bucket_name=request["s3"]["bucketName"],
        )
        return {"storageConfiguration": _show(configuration)}

    async def get(self, call: Call) -> Result:
        """Return one configuration; ResourceNotFoundError when it does not exist."""
        arn = call.request["arn"]
        configuration = await self._pages.get_resource(arn)
        if not isinstance(configuration, StorageConfiguration):
            raise ResourceNotFoundError(kind="storage configuration", name=arn)
        return {"storageConfiguration": _show(configuration)}

    async def list(self, call: Call) -> Result:
        """Return the account's configurations, in order of creation.

        The default page size is the account's quota, at most 100 (API reference, ListStorageConfigurations).
        """
        default = min(self._manager.limits.storage_configurations, _MAXIMUM_PAGE_SIZE)
        page = await self._pages.list_resources(
            call.caller.account_id,
            STORAGE_CONFIGURATION,
            after=self._page_tokens.open("ListStorageConfigurations", call),
            limit=page_size(call, default=default),
        )
        return {
            "storageConfigurations": [_show(configuration) for configuration in page.items],
            "nextToken": self._page_tokens.seal("ListStorageConfigurations", call, page.next_position),
        }

    async def delete(self, call: Call) -> Result:
        """Delete a configuration."""
        await self._manager.configurations.delete_storage(arn=call.request["arn"])
        return {}


def _show(configuration: Resource) -> dict[str, Any]:
    """Return shapes StorageConfiguration and StorageConfigurationSummary, which have the same members."""
    if not isinstance(configuration, StorageConfiguration):
        raise TypeError(f"{configuration.arn} is not a storage configuration")
    return {
        "arn": configuration.arn,
        "name": configuration.name,
        "s3": {"bucketName": configuration.bucket_name},
        "tags": configuration.tags,
    }
