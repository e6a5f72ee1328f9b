"""The documented example of ListParticipantEvents, by boto3 and by the AWS CLI."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.aws.documented import NAMES, NEWEST_FIRST, PARTICIPANT_ID, SESSION_ID, STAGE_ARN
from tests.e2e.server import Client, RunningServer

DOCUMENTED = [
    {"eventTime": "2023-04-26T20:36:28+00:00", "name": "LEFT", "participantId": PARTICIPANT_ID},
    {"eventTime": "2023-04-26T20:36:28+00:00", "name": "PUBLISH_STOPPED", "participantId": PARTICIPANT_ID},
    {"eventTime": "2023-04-26T20:30:34+00:00", "name": "PUBLISH_STARTED", "participantId": PARTICIPANT_ID},
    {"eventTime": "2023-04-26T20:30:34+00:00", "name": "JOINED", "participantId": PARTICIPANT_ID},
]


def aws(server: RunningServer, config: Path, *words: str) -> Any:  # noqa: ANN401 - decoded JSON
    """Run the AWS CLI against the server and return what it prints."""
    command = [str(Path(sys.executable).with_name("aws")), "ivs-realtime", *words]
    environment = {**server.environment, "AWS_CONFIG_FILE": str(config)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def cli_config(tmp_path: Path) -> Path:
    """A CLI configuration that prints times as version 2 of the CLI does unless told."""
    config = tmp_path / "aws-config"
    config.write_text("[default]\ncli_timestamp_format = iso8601\n", encoding="utf-8")
    return config


def test_boto3_lists_the_four_events_newest_first(ivs: Client) -> None:
    answer = ivs.list_participant_events(**NAMES)
    assert [(event["name"], event["eventTime"]) for event in answer["events"]] == list(NEWEST_FIRST)
    assert all(event.keys() == {"name", "eventTime", "participantId"} for event in answer["events"])
    assert "nextToken" not in answer


def test_the_cli_prints_the_four_events_in_the_documented_form(server: RunningServer, cli_config: Path) -> None:
    printed = aws(
        server,
        cli_config,
        "list-participant-events",
        *("--stage-arn", STAGE_ARN),
        *("--session-id", SESSION_ID),
        *("--participant-id", PARTICIPANT_ID),
    )
    assert printed == {"events": DOCUMENTED}


def test_the_cli_walks_through_them_one_by_one(server: RunningServer, cli_config: Path) -> None:
    words = ["list-participant-events", "--stage-arn", STAGE_ARN, "--session-id", SESSION_ID]
    words += ["--participant-id", PARTICIPANT_ID, "--max-results", "1"]
    walked = []
    following: list[str] = []
    for _ in DOCUMENTED:
        printed = aws(server, cli_config, *words, *following)
        walked += printed["events"]
        following = ["--next-token", printed.get("nextToken", "")]
    assert walked == DOCUMENTED
    assert following == ["--next-token", ""]


def test_the_way_there_leads_from_the_stage_to_the_participant(ivs: Client) -> None:
    (session,) = ivs.list_stage_sessions(stageArn=STAGE_ARN)["stageSessions"]
    assert session == {
        "sessionId": SESSION_ID,
        "startTime": datetime.fromisoformat("2023-04-26T20:30:29.602+00:00"),
        "endTime": datetime.fromisoformat("2023-04-26T20:36:29+00:00"),
    }
    (participant,) = ivs.list_participants(stageArn=STAGE_ARN, sessionId=SESSION_ID)["participants"]
    assert participant["participantId"] == PARTICIPANT_ID
    assert participant["firstJoinTime"] == datetime.fromisoformat("2023-04-26T20:30:34+00:00")
    assert (participant["published"], participant["state"]) == (True, "DISCONNECTED")
