"""The guest spot of a show: it invites guests to a stage, knows who is on it, and reports who attended.

An application on Amazon IVS Real-Time, with boto3. `ivs` is a client `ivs-realtime`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import boto3

TOKEN_MINUTES = 60


@dataclass
class Attendance:
    """What one guest did in the newest session. `errors` are error codes."""

    user_id: str
    on_stage: timedelta = timedelta()
    on_air: timedelta = timedelta()
    errors: list[str] = field(default_factory=list)


class GuestSpot:
    """The guest spot of one stage."""

    def __init__(self, ivs: Any, stage_arn: str) -> None:  # noqa: ANN401 - boto3 makes its clients at run time
        self._ivs = ivs
        self.stage_arn = stage_arn

    @classmethod
    def open(cls, name: str, ivs: Any = None) -> "GuestSpot":  # noqa: ANN401 - boto3 makes its clients at run time
        """Create the stage, with the credentials of the environment unless there is a client."""
        ivs = ivs or boto3.client("ivs-realtime")
        return cls(ivs, ivs.create_stage(name=name)["stage"]["arn"])

    def invite(self, user_id: str, *, may_speak: bool = True) -> str:
        """Return a token, with which a guest can join for an hour."""
        created = self._ivs.create_participant_token(
            stageArn=self.stage_arn,
            userId=user_id,
            capabilities=["PUBLISH", "SUBSCRIBE"] if may_speak else ["SUBSCRIBE"],
            duration=TOKEN_MINUTES,
        )
        token: str = created["participantToken"]["token"]
        return token

    def on_stage(self) -> list[str]:
        """Return the user ids of those who are on the stage."""
        return sorted(each["userId"] for each in self._participants() if each["state"] == "CONNECTED")

    def remove(self, user_id: str) -> None:
        """Take a guest off the stage."""
        for each in self._participants():
            if each["userId"] == user_id and each["state"] == "CONNECTED":
                self._ivs.disconnect_participant(stageArn=self.stage_arn, participantId=each["participantId"])

    def attendance(self) -> list[Attendance]:
        """Return the report of the newest session, by user id."""
        return sorted(map(self._attendance, self._participants()), key=lambda each: each.user_id)

    def _attendance(self, participant: dict[str, Any]) -> Attendance:
        found = Attendance(user_id=participant["userId"])
        since: dict[str, datetime] = {}
        for event in self._events(participant["participantId"]):
            match event["name"]:
                case "JOINED" | "PUBLISH_STARTED" as name:
                    since[name] = event["eventTime"]
                case "LEFT":
                    found.on_stage += event["eventTime"] - since["JOINED"]
                case "PUBLISH_STOPPED":
                    found.on_air += event["eventTime"] - since["PUBLISH_STARTED"]
                case "PUBLISH_ERROR" | "SUBSCRIBE_ERROR" | "JOIN_ERROR":
                    found.errors.append(event["errorCode"])
        return found

    def _participants(self) -> Iterator[dict[str, Any]]:
        """Yield the participants of the newest session."""
        sessions = self._ivs.list_stage_sessions(stageArn=self.stage_arn, maxResults=1)["stageSessions"]
        for session in sessions:
            self._session_id = session["sessionId"]
            yield from self._pages("list_participants", "participants", sessionId=session["sessionId"])

    def _events(self, participant_id: str) -> list[dict[str, Any]]:
        """Return the events of a participant, the oldest first. The API lists the newest first."""
        ids = {"sessionId": self._session_id, "participantId": participant_id}
        return list(self._pages("list_participant_events", "events", **ids))[::-1]

    def _pages(self, operation: str, member: str, **arguments: str) -> Iterator[dict[str, Any]]:
        while True:
            page = getattr(self._ivs, operation)(stageArn=self.stage_arn, **arguments)
            yield from page[member]
            if "nextToken" not in page:
                return
            arguments["nextToken"] = page["nextToken"]
