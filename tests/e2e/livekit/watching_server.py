"""A running `stagebook livekit watch`, and what boto3 lists of a room in it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stagebook.media.livekit.livekit_access import LiveKitKey
from tests.e2e.server import Client, RunningServer, run_server, start_server

WAIT_SECONDS = 30.0


@contextmanager
def run_watch(data: Path, *, livekit_url: str, key: LiveKitKey, poll_seconds: float) -> Iterator[RunningServer]:
    """Run a server that watches a LiveKit, and check the rules of its book at the end."""
    with run_server(
        data,
        command_words="livekit watch",
        url=livekit_url,
        api_key=key.key,
        api_secret_file=_secret_file(data, key),
        poll_seconds=str(poll_seconds),
    ) as server:
        yield server


def start_watch(
    data: Path, *, livekit_url: str, key: LiveKitKey, poll_seconds: float, config: Path | None = None
) -> RunningServer:
    """Start such a server, which a test will kill. `config` is a TOML file."""
    return start_server(
        data,
        config=config,
        command_words="livekit watch",
        url=livekit_url,
        api_key=key.key,
        api_secret_file=_secret_file(data, key),
        poll_seconds=str(poll_seconds),
    )


def _secret_file(data: Path, key: LiveKitKey) -> str:
    path = data.with_name("api-secret")
    path.write_text(key.secret, encoding="utf-8")
    return str(path)


class ListedRoom:
    """The newest session of a room's stage, as AWS clients see it."""

    def __init__(self, ivs: Client, name: str) -> None:
        self._ivs = ivs
        self._name = name

    @property
    def stage(self) -> dict[str, Any] | None:
        stages = self._ivs.list_stages()["stages"]
        return next((stage for stage in stages if stage["tags"].get("livekit:room") == self._name), None)

    @property
    def stage_arn(self) -> str:
        stage = self.stage
        assert stage is not None
        arn: str = stage["arn"]
        return arn

    def sessions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ivs.list_stage_sessions(stageArn=self.stage_arn)["stageSessions"]
        return found

    def participants(self) -> dict[str, dict[str, Any]]:
        """The participants of the newest session by their user id."""
        if self.stage is None:
            return {}
        where = {"stageArn": self.stage_arn, "sessionId": self.sessions()[0]["sessionId"]}
        return {each["userId"]: each for each in self._ivs.list_participants(**where)["participants"]}

    def events(self, user_id: str) -> list[str]:
        """The names of a participant's events in the newest session, oldest first."""
        participant = self.participants().get(user_id)
        if participant is None:
            return []
        listed = self._ivs.list_participant_events(
            stageArn=self.stage_arn,
            sessionId=self.sessions()[0]["sessionId"],
            participantId=participant["participantId"],
        )
        return [event["name"] for event in reversed(listed["events"])]


def wait_until_true(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    """Wait until a condition holds; fail with `what` after WAIT_SECONDS."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)
