"""The scene: a publisher and a viewer on one stage, a replica on another, and what the API says about them.

1. The publisher joins by WHIP, and is recorded. The stage gets another recording configuration, which is refused.
   The viewer subscribes to the publisher. The answers about the live session are kept.
2. The publisher is replicated to a second stage. A second replication is refused, and the first one is stopped.
3. The viewer leaves. The publisher is disconnected by the API and tries to come back with the same token.
4. The answers about the ended session are kept.
5. A third stage is deleted while a participant publishes on it.
6. A guest joins and leaves the first stage by the events websocket until it has more events than a page.

The peers are those of `stagebook demo`. Their libraries are the extra `demo`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec
from websockets import Subprotocol
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from stagebook.conformance.behaviour.token_checks import token_part
from stagebook.conformance.check_outcomes import CheckFailedError, CheckSkippedError
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json, WireAnswer

WAIT_SECONDS = 20.0
POLL_SECONDS = 0.02
DEFAULT_PAGE = 50
ATTRIBUTES = {"role": "host"}


Look: TypeAlias = Callable[[], Awaitable[str]]
"""Returns what was looked for, or an empty text."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of the scene, by the names that the script gives them, and whom they are about."""

    answers: Mapping[str, WireAnswer]
    stage_arn: str
    destination_arn: str
    session_id: str
    destination_session_id: str
    publisher_id: str
    viewer_id: str
    is_return_refused: bool

    def document(self, name: str) -> Json:
        """Return the output of a call of the scene. Raises CheckFailedError if it was refused."""
        answer = self.answers[name]
        if answer.status != 200:
            raise CheckFailedError(expected=f"{answer.operation} to succeed with 200", got=answer.summary)
        return answer.json() if answer.body else {}


class SceneOutcome:
    """The scene of a run, played when the first check needs it. Its failure skips all other checks."""

    def __init__(self, scene: Scene | None = None) -> None:
        self._scene = scene
        self._failure: str = ""

    def of(self, service: ServiceUnderTest) -> Scene:
        """Return the scene. Raises CheckFailedError the first time that it cannot be played, then CheckSkippedError."""
        if self._failure:
            raise CheckSkippedError(f"the scene could not be played: {self._failure}")
        if self._scene is None:
            try:
                self._scene = play(service)
            except (CheckFailedError, CheckSkippedError) as error:
                self._failure = str(error)
                raise
        return self._scene


def scene_of(service: ServiceUnderTest) -> Scene:
    """Return the scene of a run, as `SceneOutcome.of`."""
    return service.once("scene", SceneOutcome).of(service)


def play(service: ServiceUnderTest) -> Scene:
    """Play the scene. Raises CheckFailedError, and CheckSkippedError if the extra `demo` is not installed."""
    try:
        from stagebook.demo.demo_peers import JoinFailedError
    except ModuleNotFoundError as error:
        raise CheckSkippedError(f"participants need {error.name}: pip install 'stagebook[demo]'") from error
    try:
        return asyncio.run(_Script(service).play())
    except (JoinFailedError, WebSocketException, OSError) as error:
        raise CheckFailedError(expected="participants to join", got=str(error)) from error


class _Script:
    def __init__(self, service: ServiceUnderTest) -> None:
        self._service = service
        self._answers: dict[str, WireAnswer] = {}

    async def play(self) -> Scene:
        publisher, viewer, guest = await self._create_stages()
        is_refused = await self._publish_and_watch(publisher, viewer)
        await self._wait_for_end()
        await self._after(publisher["participantId"], viewer["participantId"])
        await self._delete_active_stage()
        await self._come_and_go(guest)
        return Scene(
            answers=self._answers,
            stage_arn=self._stage["stageArn"],
            destination_arn=self._destination_arn,
            session_id=self._session["sessionId"],
            destination_session_id=self._destination_session_id,
            publisher_id=publisher["participantId"],
            viewer_id=viewer["participantId"],
            is_return_refused=is_refused,
        )

    async def _create_stages(self) -> Json:
        """Create the stage, and the destination of its replication; return the tokens of three participants."""
        tokens = [
            {"userId": "publisher", "attributes": ATTRIBUTES, "capabilities": ["PUBLISH"]},
            {"userId": "viewer", "capabilities": ["SUBSCRIBE"]},
            {"userId": "guest"},
        ]
        created = await self._result(
            "CreateStage",
            name=self._service.name(),
            participantTokenConfigurations=tokens,
            autoParticipantRecordingConfiguration=await asyncio.to_thread(self._recording),
        )
        destination = await self._result("CreateStage", name=self._service.name())
        self._stage = {"stageArn": created["stage"]["arn"]}
        self._destination_arn = destination["stage"]["arn"]
        return created["participantTokens"]

    async def _publish_and_watch(self, publisher: Json, viewer: Json) -> bool:
        """Let a viewer watch a publisher, which is then disconnected; return whether its return is refused."""
        from stagebook.demo.demo_peers import DemoPublisher, DemoViewer

        async with DemoPublisher(publisher["token"]):
            await self._wait_for_session()
            await self._wait_for_event(publisher["participantId"], "PUBLISH_STARTED")
            await self._record(publisher["participantId"])
            async with DemoViewer(viewer["token"], publisher_id=publisher["participantId"]):
                await self._wait_for_event(viewer["participantId"], "SUBSCRIBE_STARTED")
                await self._live(publisher["participantId"], viewer["participantId"])
                await self._replicate(publisher["participantId"])
            await self._wait_for_event(viewer["participantId"], "LEFT")
            await self._keep("DisconnectParticipant", **self._stage, participantId=publisher["participantId"])
            await self._wait_for_event(publisher["participantId"], "LEFT")
            return await self._is_refused(publisher["token"])

    def _recording(self) -> Json:
        storage = self._service.shared("CreateStorageConfiguration", s3={"bucketName": "amzn-s3-demo-bucket"})
        return {"storageConfigurationArn": storage["arn"], "hlsConfiguration": {"targetSegmentDurationSeconds": 2}}

    async def _record(self, publisher_id: str) -> None:
        """Wait until the publisher is recorded, or its recording has failed, and keep what the API says then."""
        participant = {**self._session, "participantId": publisher_id}

        async def state() -> str:
            answer = await self._result("GetParticipant", **participant)
            found = str(answer["participant"].get("recordingState"))
            return found if found in {"ACTIVE", "FAILED"} else ""

        with contextlib.suppress(CheckFailedError):  # The checks of recordings see the state.
            await self._wait(state, "a recording")
        await self._keep("GetParticipant", "GetParticipant recorded", **participant)
        active = {**self._session, "filterByRecordingState": "ACTIVE"}
        await self._keep("ListParticipants", "ListParticipants recorded", **active)
        arn = self._stage["stageArn"]
        off = {"storageConfigurationArn": ""}
        await self._keep("UpdateStage", "UpdateStage recorded", arn=arn, autoParticipantRecordingConfiguration=off)
        await self._keep("UpdateStage", "UpdateStage name", arn=arn, name=self._service.name())

    async def _live(self, publisher_id: str, viewer_id: str) -> None:
        await self._keep("GetStage", arn=self._stage["stageArn"])
        await self._keep("ListStageSessions", **self._stage)
        await self._keep("GetStageSession", **self._session)
        await self._keep("ListParticipants", **self._session)
        for member, value in (
            ("filterByUserId", "publisher"),
            ("filterByPublished", True),
            ("filterByState", "CONNECTED"),
            ("filterByState", "DISCONNECTED"),
        ):
            await self._keep(
                "ListParticipants", f"ListParticipants {member} {value}", **self._session, **{member: value}
            )
        await self._keep("GetParticipant", **self._session, participantId=publisher_id)
        await self._keep("GetParticipant", "GetParticipant viewer", **self._session, participantId=viewer_id)

    async def _replicate(self, participant_id: str) -> None:
        members = {
            "sourceStageArn": self._stage["stageArn"],
            "destinationStageArn": self._destination_arn,
            "participantId": participant_id,
        }
        listed = {"sourceStageArn": self._stage["stageArn"], "participantId": participant_id}
        await self._keep("StartParticipantReplication", **members)
        await self._keep("StartParticipantReplication", "StartParticipantReplication again", **members)
        await self._keep("ListParticipantReplicas", **listed)
        stage = await self._result("GetStage", arn=self._destination_arn)
        self._destination_session_id = stage["stage"].get("activeSessionId", "")
        session = {"stageArn": self._destination_arn, "sessionId": self._destination_session_id}
        await self._keep("ListParticipants", "ListParticipants destination", **session)
        await self._keep("StopParticipantReplication", **members)
        await self._keep("StopParticipantReplication", "StopParticipantReplication again", **members)
        await self._keep("ListParticipantReplicas", "ListParticipantReplicas stopped", **listed)
        await self._keep(
            "ListParticipantEvents", "ListParticipantEvents replica", **session, participantId=participant_id
        )

    async def _after(self, publisher_id: str, viewer_id: str) -> None:
        await self._keep("GetStage", "GetStage ended", arn=self._stage["stageArn"])
        await self._keep("GetStageSession", "GetStageSession ended", **self._session)
        await self._keep("ListParticipants", "ListParticipants ended", **self._session, filterByState="DISCONNECTED")
        await self._keep("ListParticipants", "ListParticipants first", **self._session, maxResults=1)
        await self._keep("GetParticipant", "GetParticipant ended", **self._session, participantId=publisher_id)
        events = {**self._session, "participantId": publisher_id}
        await self._keep("ListParticipantEvents", **events)
        await self._keep(
            "ListParticipantEvents", "ListParticipantEvents viewer", **self._session, participantId=viewer_id
        )
        first = await self._keep("ListParticipantEvents", "ListParticipantEvents first", **events, maxResults=2)
        token = first.json().get("nextToken", "") if first.is_success else ""
        await self._keep("ListParticipantEvents", "ListParticipantEvents rest", **events, nextToken=token)
        other = {**self._session, "participantId": viewer_id}
        await self._keep("ListParticipantEvents", "ListParticipantEvents other", **other, nextToken=token)

    async def _delete_active_stage(self) -> None:
        from stagebook.demo.demo_peers import DemoPublisher

        made = await self._result("CreateStage", name=self._service.name(), participantTokenConfigurations=[{}])
        async with DemoPublisher(made["participantTokens"][0]["token"]):
            await self._keep("DeleteStage", "DeleteStage active", arn=made["stage"]["arn"])
            await self._keep("GetStage", "GetStage deleted", arn=made["stage"]["arn"])

    async def _come_and_go(self, token: Json) -> None:
        """Join and leave until there are more events than the default page has. Each time makes two events."""
        payload = token_part(token["token"], 1)
        url = f"{payload['events_url']}/{payload['topic']}"
        for number in range(1, DEFAULT_PAGE // 2 + 2):
            async with connect(url, subprotocols=[Subprotocol(token["token"])]) as websocket:
                await websocket.recv()
            await self._wait_for_left(token["participantId"], number)
        members = {**await self._latest_session(), "participantId": token["participantId"]}
        await self._keep("ListParticipantEvents", "ListParticipantEvents guest", **members)
        await self._keep("ListParticipantEvents", "ListParticipantEvents guest all", **members, maxResults=100)
        await self._keep("ListStageSessions", "ListStageSessions all", **self._stage)

    async def _wait_for_left(self, participant_id: str, number: int) -> None:
        async def is_there() -> str:
            session = await self._latest_session()
            members = {**session, "participantId": participant_id, "maxResults": 100}
            events = (await self._result("ListParticipantEvents", **members))["events"]
            return "LEFT" if sum(event["name"] == "LEFT" for event in events) >= number else ""

        await self._wait(is_there, f"{number} LEFT events of {participant_id}")

    async def _latest_session(self) -> dict[str, Json]:
        sessions = (await self._result("ListStageSessions", **self._stage))["stageSessions"]
        return {**self._stage, "sessionId": max(sessions, key=lambda session: session["startTime"])["sessionId"]}

    async def _is_refused(self, token: str) -> bool:
        from stagebook.demo.demo_peers import DemoPublisher, JoinFailedError

        try:
            async with DemoPublisher(token):
                return False
        except JoinFailedError:
            return True

    async def _wait_for_session(self) -> None:
        async def session_id() -> str:
            sessions = (await self._result("ListStageSessions", **self._stage))["stageSessions"]
            return str(sessions[0]["sessionId"]) if sessions else ""

        self._session = {**self._stage, "sessionId": await self._wait(session_id, "a session of the stage")}

    async def _wait_for_event(self, participant_id: str, name: str) -> None:
        async def is_there() -> str:
            events = await self._result("ListParticipantEvents", **self._session, participantId=participant_id)
            return name if any(event["name"] == name for event in events["events"]) else ""

        await self._wait(is_there, f"the event {name} of {participant_id}")

    async def _wait_for_end(self) -> None:
        """Wait until the session has ended. Some servers take minutes; the checks of its end then fail."""

        async def end_time() -> str:
            session = await self._result("GetStageSession", **self._session)
            return str(session["stageSession"].get("endTime") or "")

        try:
            await self._wait(end_time, "the end of the session")
        except CheckFailedError:
            return

    async def _wait(self, look: Look, what: str) -> str:
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            found = await look()
            if found:
                return found
            await asyncio.sleep(POLL_SECONDS)
        raise CheckFailedError(expected=f"{what} within {WAIT_SECONDS:.0f} seconds", got="nothing")

    async def _keep(self, operation: str, name: str = "", /, **members: Json) -> WireAnswer:
        # In a thread: the peers need the event loop meanwhile.
        answer = await asyncio.to_thread(self._service.call, operation, **members)
        self._answers[name or operation] = answer
        return answer

    async def _result(self, operation: str, **members: Json) -> Json:
        return await asyncio.to_thread(self._service.result, operation, **members)
