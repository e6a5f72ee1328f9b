"""The participants of a scenario: without media, over the testing API, and with generated media, as WebRTC peers."""

from collections import Counter
from typing import Any, Protocol

import msgspec

from stagebook.scenarios.played_server import PlayedServer, PlayFailedError
from stagebook.scenarios.scenario import Media, ParticipantGroup, ScenarioStep


class PlannedParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """Who a participant is: its name in the scenario, its group, and the stage that was created for it."""

    name: str
    group: ParticipantGroup
    stage_arn: str

    @property
    def user_id(self) -> str:
        """The user id of its token."""
        return self.group.user_id or self.name


class Peer(Protocol):
    """A participant that can be told what to do."""

    participant_id: str

    async def act(self, step: ScenarioStep, *, publisher_id: str | None) -> Counter[str]:
        """Do what a step says, with the participant id of `to`; return the events that are known to result from it.

        Raises PlayFailedError.
        """

    async def close(self) -> None:
        """Release everything. The participant leaves, if it is still there."""


class ControlledPeer:
    """A participant without media. The server acts for it."""

    def __init__(self, server: PlayedServer, *, handle: str, participant_id: str) -> None:
        self.participant_id = participant_id
        self._server = server
        self._handle = handle

    @classmethod
    async def create(cls, server: PlayedServer, planned: PlannedParticipant) -> "ControlledPeer":
        """Create the participant. It joins with its first action."""
        created = await server.control(
            "/participants",
            {
                "stageArn": planned.stage_arn,
                "userId": planned.user_id,
                "attributes": planned.group.attributes,
                "capabilities": planned.group.capabilities,
            },
        )
        return cls(server, handle=created["id"], participant_id=created["participantId"])

    async def act(self, step: ScenarioStep, *, publisher_id: str | None) -> Counter[str]:
        """As Peer.act."""
        body = {
            "to": publisher_id,
            "errorCode": step.error_code,
            "audioMuted": step.audio_muted,
            "videoStopped": step.video_stopped,
            "userId": step.user_id,
            "attributes": step.attributes,
            "capabilities": step.capabilities,
        }
        answer = await self._server.control(f"/participants/{self._handle}/{step.do.value}", body)
        return Counter(event_text(event) for event in answer.get("events", ()))

    async def close(self) -> None:
        """Leave it as it is: a scenario says itself who leaves."""


def event_text(event: dict[str, Any]) -> str:
    """Return the name of an event, with its error code: `PUBLISH_ERROR:BITRATE_EXCEEDED`."""
    code = event.get("errorCode")
    return f"{event['name']}:{code}" if code else str(event["name"])


async def create_peer(server: PlayedServer, planned: PlannedParticipant) -> Peer:
    """Create a participant with or without media. Raises PlayFailedError."""
    if planned.group.media is Media.NONE:
        return await ControlledPeer.create(server, planned)
    try:
        # Imported late: its libraries are another optional extra.
        from stagebook.scenarios.media_peer import MediaPeer
    except ModuleNotFoundError as error:
        missing = f"participants with media need {error.name}: run `pip install 'stagebook[demo,testing]'`"
        raise PlayFailedError(missing) from error
    created = await server.call(
        "create_participant_token",
        stageArn=planned.stage_arn,
        userId=planned.user_id,
        attributes=planned.group.attributes,
        capabilities=list(planned.group.capabilities),
    )
    token = created["participantToken"]
    return MediaPeer(token=token["token"], participant_id=token["participantId"])
