"""Makes events of a real server through its APIs, and reads them in its book."""

from pathlib import Path

import httpx

from stagebook.book.event_log import LoggedEvent
from stagebook.book.sqlite.open_readers import open_event_log
from stagebook.data_folder.secrets import DataFolder
from tests.e2e.server import RunningServer


class EventMaker:
    """A stage whose participants send offers that cannot be accepted: each is one durable event."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        ivs = server.client()
        self.stage_arn: str = ivs.create_stage(name="watched")["stage"]["arn"]
        self._tokens = [
            ivs.create_participant_token(stageArn=self.stage_arn, userId=f"user-{number}", capabilities=["PUBLISH"])
            for number in range(4)
        ]
        self._http = httpx.Client(base_url=server.endpoint_url)
        self._made = 0

    def make(self, count: int) -> None:
        """Make events. Each is durable when its request is answered."""
        for _ in range(count):
            token = self._tokens[self._made % len(self._tokens)]["participantToken"]["token"]
            self._made += 1
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
            response = self._http.post("/whip", headers=headers, content="v=0\r\n")
            assert response.status_code == 406, response.text

    def on(self, server: RunningServer) -> "EventMaker":
        """Go on with another server on the same data folder."""
        self._server = server
        self._http.close()
        self._http = httpx.Client(base_url=server.endpoint_url)
        return self

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


def recorded_events(data: Path) -> list[LoggedEvent]:
    """Return all events in the book of a data folder, also while a server is writing it."""
    log = open_event_log(DataFolder(data).book_path)
    try:
        return log.read_after(0, limit=1_000_000)
    finally:
        log.close()


def recorded_ids(data: Path) -> list[str]:
    """Return the ids of all events in order."""
    return [each.event_id for each in recorded_events(data)]
