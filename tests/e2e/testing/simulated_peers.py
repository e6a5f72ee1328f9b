"""Participants and encoders without media in a test: one call a line."""

from tests.e2e.testing.controlled_server import ControlledServer

Json = dict[str, object]


class Peer:
    """A participant or an encoder without media."""

    def __init__(self, server: ControlledServer, kind: str, **members: object) -> None:
        self._server = server
        self.document = server.post(f"/{kind}", **members)
        self.path = f"/{kind}/{self.document['id']}"
        self.participant_id: str = self.document["participantId"]
        self.stage_arn: str = self.document["stageArn"]

    def do(self, action: str, **members: object) -> list[str]:
        """Do an action; return the names of the events that it has made, with their error codes."""
        self.document = self._server.post(f"{self.path}/{action}", **members)
        return named(self.document["events"])

    def refused(self, action: str, **members: object) -> tuple[int, str]:
        """Return the status and the detail of an action that must be refused."""
        return self._server.refused(f"{self.path}/{action}", **members)

    def state(self) -> Json:
        """Return what it is doing."""
        state: Json = self._server.get(self.path)
        return state


def participant(server: ControlledServer, stage_arn: str, **members: object) -> Peer:
    """Make a participant of a stage."""
    return Peer(server, "participants", stageArn=stage_arn, **members)


def named(events: list[dict[str, str]]) -> list[str]:
    """Return the names of events, each with its error code behind it."""
    return [" ".join(filter(None, (event["name"], event.get("errorCode")))) for event in events]
