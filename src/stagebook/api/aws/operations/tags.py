"""TagResource, UntagResource, ListTagsForResource (API reference, those pages; AWS General Reference, tagging)."""

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.book.book_pages import BookPages
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.composition.composition import Composition
from stagebook.stage.errors import ResourceNotFoundError


class TagOperations:
    """The operations on the tags of resources of every kind."""

    def __init__(self, manager: StageManager, pages: BookPages) -> None:
        self._manager = manager
        self._pages = pages

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="TagResource", handle=self.tag, resource_member="resourceArn"),
            Operation(name="UntagResource", handle=self.untag, resource_member="resourceArn"),
            Operation(name="ListTagsForResource", handle=self.list, resource_member="resourceArn"),
        )

    async def tag(self, call: Call) -> Result:
        """Add tags, or replace their values; InvalidInputError for a reserved key, or too many tags on the resource."""
        await self._manager.tags.add(arn=call.request["resourceArn"], tags=call.request["tags"])
        return {}

    async def untag(self, call: Call) -> Result:
        """Remove tags. Keys that the resource does not have are ignored."""
        await self._manager.tags.remove(arn=call.request["resourceArn"], keys=call.request["tagKeys"])
        return {}

    async def list(self, call: Call) -> Result:
        """Return a resource's tags; ResourceNotFoundError when it does not exist."""
        arn = call.request["resourceArn"]
        resource = (
            await self._pages.get_resource(arn) or await self._pages.get_stage(arn) or await self._composition(arn)
        )
        if resource is None:
            raise ResourceNotFoundError(kind="resource", name=arn)
        return {"tags": resource.tags}

    async def _composition(self, arn: str) -> Composition | None:
        composition = await self._pages.compositions.find(arn)
        is_shown = composition is not None and composition.is_shown(self._manager.now().wall_ms)
        return composition if is_shown else None
