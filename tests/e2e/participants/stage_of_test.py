"""A stage on a running server, for one test: its tokens, and what the book says of its participants, through boto3."""

import asyncio
import time
from typing import Any, TypeAlias

from tests.e2e.server import RunningServer

DEADLINE_SECONDS = 25.0
POLL_SECONDS = 0.1

Told: TypeAlias = str | tuple[str, str]
"""An event as the tests name it: its name, or its name and what it refers to (the remote participant, the error)."""


class StageOfTest:
    """A new stage. boto3 blocks, so every call runs in a thread: the peers of the test live on the event loop."""

    __test__ = False

    def __init__(self, server: RunningServer, *, arn: str | None = None) -> None:
        self.server = server
        self.ivs = server.client()
        self.arn: str = arn or self.ivs.create_stage(name="test")["stage"]["arn"]

    @property
    def stage_id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    async def call(self, operation: str, **request: Any) -> Any:  # noqa: ANN401 - boto3's own types, made at run time
        """Call an operation of boto3's client on this stage."""
        return await asyncio.to_thread(getattr(self.ivs, operation), stageArn=self.arn, **request)

    async def token(self, *capabilities: str, **request: Any) -> tuple[str, str]:  # noqa: ANN401 - as above
        """Return a new participant's id and token; without capabilities, it has both."""
        if capabilities:
            request["capabilities"] = list(capabilities)
        made = (await self.call("create_participant_token", **request))["participantToken"]
        return made["participantId"], made["token"]

    async def session_id(self) -> str | None:
        """Return the id of the newest session, or None."""
        sessions = (await self.call("list_stage_sessions"))["stageSessions"]
        return sessions[0]["sessionId"] if sessions else None

    async def events(self, participant_id: str) -> list[Told]:
        """Return a participant's events in the newest session, oldest first."""
        session_id = await self.session_id()
        if session_id is None:
            return []
        answer = await self.call("list_participant_events", sessionId=session_id, participantId=participant_id)
        return [_told(event) for event in reversed(answer["events"])]

    async def expect_events(self, participant_id: str, *expected: Told) -> None:
        """Wait until a participant's events are exactly these; fail with what they are at the deadline."""
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        found = await self.events(participant_id)
        while found != list(expected) and time.monotonic() < deadline_seconds:
            await asyncio.sleep(POLL_SECONDS)
            found = await self.events(participant_id)
        assert found == list(expected)

    async def participant(self, participant_id: str) -> dict[str, Any]:
        """Return GetParticipant's answer for the newest session."""
        answer = await self.call("get_participant", sessionId=await self.session_id(), participantId=participant_id)
        participant: dict[str, Any] = answer["participant"]
        return participant


def _told(event: dict[str, Any]) -> Told:
    more = event.get("remoteParticipantId") or event.get("errorCode")
    if "errorCode" in event and "remoteParticipantId" in event:
        more = f"{event['errorCode']} {event['remoteParticipantId']}"
    return (event["name"], more) if more else event["name"]
