"""What the backend asks of Amazon IVS Real-Time, with boto3: stages by name, tokens by role, and what participants did.

boto3 finds the endpoint and the credentials by itself: AWS_ENDPOINT_URL_IVS_REALTIME, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. Without an endpoint URL it calls AWS.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

TOKEN_MINUTES = 60
CAPABILITIES = {"host": ["PUBLISH", "SUBSCRIBE"], "viewer": ["SUBSCRIBE"]}
"""What a user may do on a stage, by the user's role."""

_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
_EVENT_MEMBERS = ("name", "participantId", "eventTime", "remoteParticipantId", "errorCode")


class NotFoundError(Exception):
    """There is no such stage. The message says so to the caller."""


class Stages:
    """The stages of an account. Its methods raise NotFoundError, and the errors of botocore."""

    def __init__(self) -> None:
        make: Any = boto3.client  # boto3 makes the methods of its clients at run time
        # The other SDKs read AWS_REGION; boto3 by itself reads AWS_DEFAULT_REGION and the configuration file only.
        self._ivs = make("ivs-realtime", region_name=os.environ.get("AWS_REGION"), config=_CONFIG)

    def create(self, name: str) -> tuple[dict[str, Any], bool]:
        """Return the stage with this name, and whether it is new."""
        found = self._find(name)
        stage = found or self._ivs.create_stage(name=name)["stage"]
        return {"name": name, "arn": stage["arn"]}, found is None

    def create_token(self, name: str, *, user_id: str, role: str) -> dict[str, Any]:
        """Return a participant token with which a user joins a stage."""
        token = self._ivs.create_participant_token(
            stageArn=self._get(name)["arn"],
            userId=user_id,
            attributes={"role": role},
            capabilities=CAPABILITIES[role],
            duration=TOKEN_MINUTES,
        )["participantToken"]
        return {
            "token": token["token"],
            "participantId": token["participantId"],
            "userId": user_id,
            "role": role,
            "expirationTime": _iso(token["expirationTime"]),
        }

    def participants(self, name: str) -> dict[str, Any]:
        """Return who is on a stage now."""
        stage = self._get(name)
        session_id = stage.get("activeSessionId") or None
        found = []
        if session_id is not None:
            request = {"stageArn": stage["arn"], "sessionId": session_id, "filterByState": "CONNECTED"}
            found = [_participant(each) for each in _all(self._ivs.list_participants, "participants", request)]
        return {"sessionId": session_id, "participants": found}

    def events(self, name: str, *, participant_id: str, session_id: str | None) -> dict[str, Any]:
        """Return all events of a participant in a session, the newest first. Without a session: in the newest one."""
        stage = self._get(name)
        if session_id is None:
            newest = self._ivs.list_stage_sessions(stageArn=stage["arn"], maxResults=1)["stageSessions"]
            session_id = newest[0]["sessionId"] if newest else None
        found = []
        if session_id is not None:
            request = {"stageArn": stage["arn"], "sessionId": session_id, "participantId": participant_id}
            found = [_event(each) for each in _all(self._ivs.list_participant_events, "events", request)]
        return {"sessionId": session_id, "events": found}

    def _get(self, name: str) -> dict[str, Any]:
        stage = self._find(name)
        if stage is None:
            raise NotFoundError(f"there is no stage named {name}")
        return stage

    def _find(self, name: str) -> dict[str, Any] | None:
        """Return the first stage with this name. An application keeps the ARNs of its stages in its database."""
        stages = _all(self._ivs.list_stages, "stages", {"maxResults": 100})
        return next((stage for stage in stages if stage.get("name") == name), None)


def _all(operation: Any, member: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - as above
    """Yield what a list operation has on all its pages. boto3 has no paginators for IVS Real-Time."""
    page: dict[str, Any] = operation(**request)
    yield from page[member]
    while page.get("nextToken"):
        page = operation(**request, nextToken=page["nextToken"])
        yield from page[member]


def _participant(participant: dict[str, Any]) -> dict[str, Any]:
    return {
        "participantId": participant["participantId"],
        "userId": participant.get("userId", ""),
        "published": participant.get("published", False),
        "firstJoinTime": _iso(participant["firstJoinTime"]),
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    members = {member: event[member] for member in _EVENT_MEMBERS if member in event}
    return {**members, "eventTime": _iso(event["eventTime"])}


def _iso(time: datetime) -> str:
    """Return a time in UTC with milliseconds, as `2026-11-28T06:47:42.658Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
