"""TagResource and UntagResource for stages and for the resources beside them (API reference, those pages)."""

from collections.abc import Sequence

from msgspec.structs import replace

from stagebook.book.changes import PutResource, PutStage
from stagebook.manager.resources.stage_service import StageService
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.input_rules import check_tags
from stagebook.stage.resources import Resource, Stage


class TagService:
    """Changes the tags of resources."""

    def __init__(self, *, unit: UnitOfWork, stages: StageService) -> None:
        self._unit = unit
        self._stages = stages

    async def add(self, *, arn: str, tags: dict[str, str]) -> None:
        """Add or replace tags; return when they are durable.

        The limit of tags holds for the result, so replacing a tag of a full resource is allowed. Raises
        ResourceNotFoundError and InvalidInputError.
        """
        async with self._stages.changing:
            tagged = self._find(arn)
            merged = {**tagged.tags, **tags}
            check_tags(merged)
            await self._put(tagged, merged)

    async def remove(self, *, arn: str, keys: Sequence[str]) -> None:
        """Remove tags; return when that is durable. Keys without a tag are ignored. Raises ResourceNotFoundError."""
        async with self._stages.changing:
            tagged = self._find(arn)
            await self._put(tagged, {key: value for key, value in tagged.tags.items() if key not in keys})

    def _find(self, arn: str) -> Stage | Resource:
        resource = self._unit.pending.find(arn)
        if resource is not None:
            return resource
        try:
            return self._stages.find(arn)
        except ResourceNotFoundError:
            raise ResourceNotFoundError(kind="resource", name=arn) from None

    async def _put(self, tagged: Stage | Resource, tags: dict[str, str]) -> None:
        changed = replace(tagged, tags=tags)
        await self._unit.submit(
            [PutStage(stage=changed) if isinstance(changed, Stage) else PutResource(resource=changed)]
        )
