"""A handle on a stage of a running server: tokens, sessions, participants and events, through boto3."""

import asyncio
import time
from typing import Any, TypeAlias

from tests.e2e.server import RunningServer

DEADLINE_SECONDS = 25.0
POLL_SECONDS = 0.1

EventSummary: TypeAlias = str | tuple[str, str]
"""A summary of an event: its name, or its name with its error code, its remote participant, or both."""


class StageHandle:
    """A new stage, or the stage `arn`.

    boto3 blocks, so every call runs in a thread; the event loop is free for the peers of the test.
    """

    __test__ = False

    def __init__(self, server: RunningServer, *, arn: str | None = None) -> None:
        self.server = server
        self.ivs = server.client()
        self.arn: str = arn or self.ivs.create_stage(name="test")["stage"]["arn"]

    @property
    def stage_id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    async def call(self, operation: str, **request: Any) -> Any:  # noqa: ANN401 - boto3 generates its types at run time
        """Call a method of the boto3 client with this stage as `stageArn`."""
        return await asyncio.to_thread(getattr(self.ivs, operation), stageArn=self.arn, **request)

    async def token(self, *capabilities: str, **request: Any) -> tuple[str, str]:  # noqa: ANN401 - as above
        """Create a participant token and return its participant id and the token.

        Without `capabilities` the token has both. `request` are further members of CreateParticipantToken.
        """
        if capabilities:
            request["capabilities"] = list(capabilities)
        created = (await self.call("create_participant_token", **request))["participantToken"]
        return created["participantId"], created["token"]

    async def session_id(self) -> str | None:
        """Return the id of the newest session, or None if there is none."""
        sessions = (await self.call("list_stage_sessions"))["stageSessions"]
        return sessions[0]["sessionId"] if sessions else None

    async def events(self, participant_id: str) -> list[EventSummary]:
        """Return a participant's events in the newest session, oldest first."""
        session_id = await self.session_id()
        if session_id is None:
            return []
        response = await self.call("list_participant_events", sessionId=session_id, participantId=participant_id)
        return [_summary(event) for event in reversed(response["events"])]

    async def expect_events(self, participant_id: str, *expected: EventSummary) -> None:
        """Poll until the participant's events are exactly these, oldest first; fail after DEADLINE_SECONDS."""
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        found = await self.events(participant_id)
        while found != list(expected) and time.monotonic() < deadline_seconds:
            await asyncio.sleep(POLL_SECONDS)
            found = await self.events(participant_id)
        assert found == list(expected), found

    async def events_until_left(self, participant_id: str) -> list[EventSummary]:
        """Poll until the participant's newest event is LEFT. Return its events, oldest first."""
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        found = await self.events(participant_id)
        while found[-1:] != ["LEFT"]:
            assert time.monotonic() < deadline_seconds, found
            await asyncio.sleep(POLL_SECONDS)
            found = await self.events(participant_id)
        return found

    async def participant(self, participant_id: str) -> dict[str, Any]:
        """Return the participant of the newest session, as GetParticipant shows it."""
        response = await self.call("get_participant", sessionId=await self.session_id(), participantId=participant_id)
        participant: dict[str, Any] = response["participant"]
        return participant


def _summary(event: dict[str, Any]) -> EventSummary:
    details = [event[member] for member in ("errorCode", "remoteParticipantId") if member in event]
    return (event["name"], " ".join(details)) if details else event["name"]
