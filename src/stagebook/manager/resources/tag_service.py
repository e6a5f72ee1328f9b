"""TagResource and UntagResource for stages and for the resources beside them (API reference, those pages)."""

from collections.abc import Sequence

from msgspec.structs import replace

from stagebook.book.changes import PutResource, PutStage
from stagebook.manager.compositions.composition_service import CompositionService
from stagebook.manager.resources.stage_service import StageService
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.composition.composition import Composition
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.input_rules import check_tags
from stagebook.stage.resources import Resource, Stage


class TagService:
    """Changes the tags of resources."""

    def __init__(self, *, unit: UnitOfWork, stages: StageService, compositions: CompositionService) -> None:
        self._unit = unit
        self._compositions = compositions
        self._stages = stages

    async def add(self, *, arn: str, tags: dict[str, str]) -> None:
        """Add or replace tags; return when they are durable.

        The limit of tags holds for the result, so replacing a tag of a full resource is allowed. Raises
        ResourceNotFoundError and InvalidInputError.
        """
        async with self._stages.changing:
            tagged = self.find(arn)
            merged = {**tagged.tags, **tags}
            check_tags(merged)
            await self._put(tagged, merged)

    async def remove(self, *, arn: str, keys: Sequence[str]) -> None:
        """Remove tags; return when that is durable. Keys without a tag are ignored. Raises ResourceNotFoundError."""
        async with self._stages.changing:
            tagged = self.find(arn)
            await self._put(tagged, {key: value for key, value in tagged.tags.items() if key not in keys})

    def find(self, arn: str) -> Stage | Resource | Composition:
        """Return what has this ARN. Raises ResourceNotFoundError."""
        resource = self._compositions.find(arn) or self._unit.pending.find(arn)
        if resource is not None:
            return resource
        try:
            return self._stages.find(arn)
        except ResourceNotFoundError:
            raise ResourceNotFoundError(kind="resource", name=arn) from None

    async def _put(self, tagged: Stage | Resource | Composition, tags: dict[str, str]) -> None:
        if isinstance(tagged, Composition):
            await self._compositions.put_tags(arn=tagged.arn, tags=tags)
            return
        changed = replace(tagged, tags=tags)
        await self._unit.submit(
            [PutStage(stage=changed) if isinstance(changed, Stage) else PutResource(resource=changed)]
        )
