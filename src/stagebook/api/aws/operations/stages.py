"""CreateStage, GetStage, ListStages, UpdateStage, DeleteStage (API reference, Stage)."""

from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.operations.participant_tokens import show_token, token_spec
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.recording.recording_plan import completed
from stagebook.stage.resources import Stage


class StageOperations:
    """The operations on stages."""

    def __init__(self, manager: StageManager, pages: BookPages, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._pages = pages
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="CreateStage", handle=self.create),
            Operation(name="GetStage", handle=self.get, resource_member="arn"),
            Operation(name="ListStages", handle=self.list),
            Operation(name="UpdateStage", handle=self.update, resource_member="arn"),
            Operation(name="DeleteStage", handle=self.delete, resource_member="arn"),
        )

    async def create(self, call: Call) -> Result:
        """Create a stage, and a token for each of `participantTokenConfigurations`, in their order."""
        request = call.request
        stage, tokens = await self._manager.stages.create(
            account_id=call.caller.account_id,
            name=request.get("name", ""),
            tags=request.get("tags", {}),
            recording=request.get("autoParticipantRecordingConfiguration", {}),
            tokens=[token_spec(configuration) for configuration in request.get("participantTokenConfigurations", ())],
        )
        return {
            "stage": show_stage(stage, self._manager.endpoints),
            "participantTokens": [show_token(token) for token in tokens],
        }

    async def get(self, call: Call) -> Result:
        """Return one stage; ResourceNotFoundError when it does not exist."""
        arn = call.request["arn"]
        stage = await self._pages.get_stage(arn)
        if stage is None:
            raise ResourceNotFoundError(kind="stage", name=arn)
        return {"stage": show_stage(stage, self._manager.endpoints)}

    async def list(self, call: Call) -> Result:
        """Return summaries of the account's stages, in order of creation."""
        page = await self._pages.list_stages(
            call.caller.account_id, after=self._page_tokens.open("ListStages", call), limit=page_size(call)
        )
        return {
            "stages": [_summary(stage) for stage in page.items],
            "nextToken": self._page_tokens.seal("ListStages", call, page.next_position),
        }

    async def update(self, call: Call) -> Result:
        """Change a stage's name, recording configuration or both. Absent members stay as they are."""
        recording = call.request.get("autoParticipantRecordingConfiguration")
        stage = await self._manager.stages.update(
            stage_arn=call.request["arn"],
            name=call.request.get("name"),
            recording=recording,
        )
        return {"stage": show_stage(stage, self._manager.endpoints)}

    async def delete(self, call: Call) -> Result:
        """Delete a stage and disconnect its participants."""
        await self._manager.stages.delete(stage_arn=call.request["arn"])
        return {}


def _summary(stage: Stage) -> dict[str, Any]:
    """Return shape StageSummary. A stage without an active session has no `activeSessionId`, as in AWS."""
    return {
        "arn": stage.arn,
        "name": stage.name,
        "activeSessionId": stage.active_session_id,
        "tags": stage.tags,
    }


def show_stage(stage: Stage, endpoints: Endpoints) -> dict[str, Any]:
    """Return shape Stage."""
    return {
        **_summary(stage),
        "autoParticipantRecordingConfiguration": completed(stage.recording),
        "endpoints": {
            "events": endpoints.events,
            "whip": endpoints.whip,
            "rtmp": endpoints.rtmp,
            "rtmps": endpoints.rtmps,
        },
    }
