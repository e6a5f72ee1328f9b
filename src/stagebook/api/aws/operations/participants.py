"""ListParticipants, GetParticipant and DisconnectParticipant (API reference, Participant)."""

from collections.abc import Mapping
from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.book.book_values import ParticipantFilter
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from stagebook.stage.resources import ParticipantRecord, ParticipantState, RecordingState

_FILTERS = ("filterByUserId", "filterByPublished", "filterByState", "filterByRecordingState")


class ParticipantOperations:
    """The operations on participants."""

    def __init__(self, manager: StageManager, pages: BookPages, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._pages = pages
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="ListParticipants", handle=self.list, resource_member="stageArn"),
            Operation(name="GetParticipant", handle=self.get, resource_member="stageArn"),
            Operation(name="DisconnectParticipant", handle=self.disconnect, resource_member="stageArn"),
        )

    async def list(self, call: Call) -> Result:
        """Return summaries of a session's participants, newest first; none for an unknown stage or session."""
        request = call.request
        where = _filter(request)
        after = self._page_tokens.open("ListParticipants", call)
        page = await self._pages.list_participants(
            request["stageArn"], request["sessionId"], where=where, after=after, limit=page_size(call)
        )
        return {
            "participants": [_summary(participant) for participant in page.items],
            "nextToken": self._page_tokens.seal("ListParticipants", call, page.next_position),
        }

    async def get(self, call: Call) -> Result:
        """Return one participant; ResourceNotFoundError when it is not in that session."""
        request = call.request
        participant_id = request["participantId"]
        participant = await self._pages.get_participant(request["stageArn"], request["sessionId"], participant_id)
        if participant is None:
            raise ResourceNotFoundError(kind="participant", name=participant_id)
        return {"participant": _show_participant(participant)}

    async def disconnect(self, call: Call) -> Result:
        """Disconnect a participant and revoke its token. The participant need not be connected."""
        request = call.request
        await self._manager.stages.disconnect_participant(
            stage_arn=request["stageArn"], participant_id=request["participantId"], reason=request.get("reason", "")
        )
        return {}


def _filter(request: Mapping[str, Any]) -> ParticipantFilter:
    """Return the filter of a list. A member that is present is a filter, also `filterByPublished: false`.

    Raises InvalidInputError for more than one filter (API reference, ListParticipants).
    """
    given = [member for member in _FILTERS if member in request]
    if len(given) > 1:
        raise InvalidInputError(member=given[1], rule=f"cannot be given together with {given[0]}: only one filter")
    state, recording_state = request.get("filterByState"), request.get("filterByRecordingState")
    return ParticipantFilter(
        user_id=request.get("filterByUserId"),
        published=request.get("filterByPublished"),
        state=None if state is None else ParticipantState(state),
        recording_state=None if recording_state is None else RecordingState(recording_state),
    )


def _summary(participant: ParticipantRecord) -> dict[str, Any]:
    """Return shape ParticipantSummary."""
    return {
        "participantId": participant.participant_id,
        "userId": participant.user_id,
        "state": participant.state,
        "firstJoinTime": participant.first_join_ms,
        "published": participant.published,
        "recordingState": participant.recording_state,
        "replicationType": participant.replication_type,
        "replicationState": participant.replication_state,
        "sourceStageArn": participant.source_stage_arn,
        "sourceSessionId": participant.source_session_id,
        "redundantIngest": participant.redundant_ingest,
        "ingestConfigurationArn": participant.ingest_configuration_arn,
    }


def _show_participant(participant: ParticipantRecord) -> dict[str, Any]:
    """Return shape Participant."""
    client = participant.client
    return {
        **_summary(participant),
        "attributes": participant.attributes,
        "ispName": client.isp_name,
        "osName": client.os_name,
        "osVersion": client.os_version,
        "browserName": client.browser_name,
        "browserVersion": client.browser_version,
        "sdkVersion": client.sdk_version,
        "recordingS3BucketName": participant.recording_bucket_name,
        "recordingS3Prefix": participant.recording_prefix,
        "protocol": participant.protocol,
    }
