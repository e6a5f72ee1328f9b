"""StartParticipantReplication, StopParticipantReplication, ListParticipantReplicas (API reference, those pages)."""

from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.resources import Replica


class ReplicationOperations:
    """The operations on replications. To start or stop one, the caller's policy must allow it on both stages."""

    def __init__(self, manager: StageManager, pages: BookPages, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._pages = pages
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(
                name="StartParticipantReplication",
                handle=self.start,
                resource_member="sourceStageArn",
                further_resource_members=("destinationStageArn",),
            ),
            Operation(
                name="StopParticipantReplication",
                handle=self.stop,
                resource_member="sourceStageArn",
                further_resource_members=("destinationStageArn",),
            ),
            Operation(name="ListParticipantReplicas", handle=self.list, resource_member="sourceStageArn"),
        )

    async def start(self, call: Call) -> Result:
        """Replicate a participant that publishes on the source stage to the destination stage."""
        request = call.request
        await self._manager.replications.start(
            source_stage_arn=request["sourceStageArn"],
            destination_stage_arn=request["destinationStageArn"],
            participant_id=request["participantId"],
            window_seconds=request.get("reconnectWindowSeconds", 0),
            attributes=request.get("attributes", {}),
        )
        return {}

    async def stop(self, call: Call) -> Result:
        """Stop a replication; ResourceNotFoundError when it is not running."""
        request = call.request
        await self._manager.replications.stop(
            source_stage_arn=request["sourceStageArn"],
            destination_stage_arn=request["destinationStageArn"],
            participant_id=request["participantId"],
        )
        return {}

    async def list(self, call: Call) -> Result:
        """Return a participant's replications, ended ones included, newest first; none for an unknown participant."""
        request = call.request
        page = await self._pages.list_replicas(
            request["sourceStageArn"],
            request["participantId"],
            after=self._page_tokens.open("ListParticipantReplicas", call),
            limit=page_size(call),
        )
        return {
            "replicas": [_show_replica(replica) for replica in page.items],
            "nextToken": self._page_tokens.seal("ListParticipantReplicas", call, page.next_position),
        }


def _show_replica(replica: Replica) -> dict[str, Any]:
    """Return shape ParticipantReplica."""
    return {
        "sourceStageArn": replica.source_stage_arn,
        "sourceSessionId": replica.source_session_id,
        "participantId": replica.participant_id,
        "destinationStageArn": replica.destination_stage_arn,
        "destinationSessionId": replica.destination_session_id,
        "replicationState": replica.state,
    }
