"""Participants without media while the clock of their server moves: each event has its own time, as boto3 lists it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.testing.controlled_server import LINGER_SECONDS, ControlledServer
from tests.e2e.testing.simulated_peers import Peer, participant

LINGER = timedelta(seconds=LINGER_SECONDS)
LONGEST_STREAM = timedelta(hours=24)


class Story:
    """A stage of a fresh account, while its clock stands still unless it is advanced."""

    def __init__(self, controlled: ControlledServer) -> None:
        self.ivs = controlled.client()
        self.stage_arn: str = self.ivs.create_stage()["stage"]["arn"]
        controlled.post("/clock/freeze")

    def times(self, peer: Peer, stage_arn: str | None = None) -> list[tuple[str, timedelta]]:
        """The events of a peer, oldest first, with the time since its first one."""
        arn = stage_arn or self.stage_arn
        (session,) = self.ivs.list_stage_sessions(stageArn=arn)["stageSessions"]
        events: list[dict[str, Any]] = self.ivs.list_participant_events(
            stageArn=arn, sessionId=session["sessionId"], participantId=peer.participant_id
        )["events"][::-1]
        return [(event["name"], event["eventTime"] - events[0]["eventTime"]) for event in events]


@pytest.fixture
def story(controlled: ControlledServer) -> Iterator[Story]:
    yield Story(controlled)
    controlled.post("/clock/resume")


def test_a_stream_and_then_its_session_end_at_their_own_times(controlled: ControlledServer, story: Story) -> None:
    ann = participant(controlled, story.stage_arn, durationMinutes=20_160)
    ann.do("publish")

    controlled.post("/clock/advance", seconds=timedelta(days=3).total_seconds())

    assert story.times(ann) == [
        ("JOINED", timedelta()),
        ("PUBLISH_STARTED", timedelta()),
        ("PUBLISH_ERROR", LONGEST_STREAM),
        ("PUBLISH_STOPPED", LONGEST_STREAM),
        ("LEFT", LONGEST_STREAM),
    ]
    (session,) = story.ivs.list_stage_sessions(stageArn=story.stage_arn)["stageSessions"]
    assert session["endTime"] - session["startTime"] == LONGEST_STREAM + LINGER


def test_a_reconnect_window_ends_at_its_own_time(controlled: ControlledServer, story: Story) -> None:
    ann = participant(controlled, story.stage_arn)
    ann.do("publish")
    destination: str = story.ivs.create_stage()["stage"]["arn"]
    story.ivs.start_participant_replication(
        sourceStageArn=story.stage_arn,
        destinationStageArn=destination,
        participantId=ann.participant_id,
        reconnectWindowSeconds=20,
    )
    controlled.post("/clock/advance", seconds=5)
    ann.do("lose-connection")

    controlled.post("/clock/advance", seconds=19)
    waiting = story.times(ann, destination)
    controlled.post("/clock/advance", seconds=100)

    assert [name for name, _ in waiting] == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED"]
    assert story.times(ann, destination)[-1] == ("LEFT", timedelta(seconds=25))


def test_a_participant_may_not_join_with_a_token_that_has_expired(controlled: ControlledServer, story: Story) -> None:
    ann, bob = (participant(controlled, story.stage_arn, durationMinutes=minutes) for minutes in (60, 62))

    controlled.post("/clock/advance", seconds=3_600)

    status, detail = ann.refused("join")
    assert status == 409
    assert "expired" in detail
    assert bob.do("join") == ["JOINED"]
