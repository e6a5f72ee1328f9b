"""TagResource, UntagResource, ListTagsForResource (API reference, TagResource; AWS tagging rules)."""

from collections.abc import Iterable

from stagebook.doors.aws.operation import Call, Operation, Result
from stagebook.manager.manager import StageManager
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from stagebook.stage.resources import Stage

MAXIMUM_TAGS = 50
"""How many tags a resource can have (shape Tags, which bounds one request; this bounds the resource)."""

_RESERVED_PREFIX = "aws:"


class TagOperations:
    """The operations on the tags of a resource; stages are the resources there are."""

    def __init__(self, manager: StageManager) -> None:
        self._manager = manager

    def operations(self) -> tuple[Operation, ...]:
        """Return them for the door's table."""
        return (
            Operation(name="TagResource", handle=self.tag, resource_member="resourceArn"),
            Operation(name="UntagResource", handle=self.untag, resource_member="resourceArn"),
            Operation(name="ListTagsForResource", handle=self.list, resource_member="resourceArn"),
        )

    async def tag(self, call: Call) -> Result:
        """Add tags or replace their values; InvalidInputError for a reserved key or too many tags."""
        arn = call.request["resourceArn"]
        tags = call.request["tags"]
        check_tag_keys(tags)
        if len(self._stage(arn).tags.keys() | tags.keys()) > MAXIMUM_TAGS:
            raise InvalidInputError(member="tags", rule=f"a resource can have at most {MAXIMUM_TAGS} tags")
        await self._manager.add_tags(arn=arn, tags=tags)
        return {}

    async def untag(self, call: Call) -> Result:
        """Remove tags; a key that is not there is no error."""
        await self._manager.remove_tags(arn=call.request["resourceArn"], keys=call.request["tagKeys"])
        return {}

    def list(self, call: Call) -> Result:
        """Show a resource's tags: an empty map when it has none."""
        return {"tags": self._stage(call.request["resourceArn"]).tags}

    def _stage(self, arn: str) -> Stage:
        stage = self._manager.book.get_stage(arn)
        if stage is None:
            raise ResourceNotFoundError(kind="resource", name=arn)
        return stage


def check_tag_keys(keys: Iterable[str]) -> None:
    """Raise InvalidInputError for a key with the prefix that AWS reserves for itself, in any case of letters."""
    for key in keys:
        if key.lower().startswith(_RESERVED_PREFIX):
            raise InvalidInputError(member="tags", rule=f'a key must not start with "{_RESERVED_PREFIX}"')
