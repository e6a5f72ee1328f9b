"""CreateEncoderConfiguration, GetEncoderConfiguration, ListEncoderConfigurations, DeleteEncoderConfiguration
(API reference, EncoderConfiguration)."""

from collections.abc import Mapping
from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.arns import ENCODER_CONFIGURATION
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.resources import EncoderConfiguration, Resource

_DEFAULT_PAGE_SIZE = 100
_DEFAULT_VIDEO: Mapping[str, Any] = {"width": 1_280, "height": 720, "framerate": 30.0, "bitrate": 2_500_000}
"""The default of each member of `video` that is absent (API reference, Video)."""


class EncoderConfigurationOperations:
    """The operations on encoder configurations."""

    def __init__(self, manager: StageManager, pages: BookPages, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._pages = pages
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="CreateEncoderConfiguration", handle=self.create),
            Operation(name="GetEncoderConfiguration", handle=self.get, resource_member="arn"),
            Operation(name="ListEncoderConfigurations", handle=self.list),
            Operation(name="DeleteEncoderConfiguration", handle=self.delete, resource_member="arn"),
        )

    async def create(self, call: Call) -> Result:
        """Create a configuration. Absent members of `video` get the documented defaults."""
        request = call.request
        video = {**_DEFAULT_VIDEO, **request.get("video", {})}
        configuration = await self._manager.configurations.create_encoder(
            account_id=call.caller.account_id,
            name=request.get("name", ""),
            tags=request.get("tags", {}),
            width=video["width"],
            height=video["height"],
            framerate=video["framerate"],
            bitrate_bps=video["bitrate"],
        )
        return {"encoderConfiguration": _show(configuration)}

    async def get(self, call: Call) -> Result:
        """Return one configuration; ResourceNotFoundError when it does not exist."""
        arn = call.request["arn"]
        configuration = await self._pages.get_resource(arn)
        if not isinstance(configuration, EncoderConfiguration):
            raise ResourceNotFoundError(kind="encoder configuration", name=arn)
        return {"encoderConfiguration": _show(configuration)}

    async def list(self, call: Call) -> Result:
        """Return summaries of the account's configurations, in order of creation."""
        page = await self._pages.list_resources(
            call.caller.account_id,
            ENCODER_CONFIGURATION,
            after=self._page_tokens.open("ListEncoderConfigurations", call),
            limit=page_size(call, default=_DEFAULT_PAGE_SIZE),
        )
        return {
            "encoderConfigurations": [_summary(configuration) for configuration in page.items],
            "nextToken": self._page_tokens.seal("ListEncoderConfigurations", call, page.next_position),
        }

    async def delete(self, call: Call) -> Result:
        """Delete a configuration."""
        await self._manager.configurations.delete_encoder(arn=call.request["arn"])
        return {}


def _summary(configuration: Resource) -> dict[str, Any]:
    """Return shape EncoderConfigurationSummary."""
    return {"arn": configuration.arn, "name": configuration.name, "tags": configuration.tags}


def _show(configuration: EncoderConfiguration) -> dict[str, Any]:
    """Return shape EncoderConfiguration."""
    return {
        **_summary(configuration),
        "video": {
            "width": configuration.width,
            "height": configuration.height,
            "framerate": configuration.framerate,
            "bitrate": configuration.bitrate_bps,
        },
    }
