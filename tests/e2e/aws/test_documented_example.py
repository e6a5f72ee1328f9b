"""The documented example of ListParticipantEvents, with boto3 and with the AWS CLI."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.aws.documented_example import NEWEST_FIRST, PARTICIPANT_ID, REQUEST, SESSION_ID, STAGE_ARN
from tests.e2e.server import Client, RunningServer

DOCUMENTED = [
    {"eventTime": "2023-04-26T20:36:28+00:00", "name": "LEFT", "participantId": PARTICIPANT_ID},
    {"eventTime": "2023-04-26T20:36:28+00:00", "name": "PUBLISH_STOPPED", "participantId": PARTICIPANT_ID},
    {"eventTime": "2023-04-26T20:30:34+00:00", "name": "PUBLISH_STARTED", "participantId": PARTICIPANT_ID},
    {"eventTime": "2023-04-26T20:30:34+00:00", "name": "JOINED", "participantId": PARTICIPANT_ID},
]


def aws(server: RunningServer, config: Path, *words: str) -> Any:  # noqa: ANN401 - decoded JSON
    """Run the AWS CLI against the server and return its decoded output."""
    command = [str(Path(sys.executable).with_name("aws")), "ivs-realtime", *words]
    environment = {**server.environment, "AWS_CONFIG_FILE": str(config)}
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)


@pytest.fixture
def cli_config(tmp_path: Path) -> Path:
    """A configuration of the CLI that prints times in the default format of its version 2."""
    config = tmp_path / "aws-config"
    config.write_text("[default]\ncli_timestamp_format = iso8601\n", encoding="utf-8")
    return config


def test_boto3_lists_the_four_events_newest_first(ivs: Client) -> None:
    response = ivs.list_participant_events(**REQUEST)
    assert [(event["name"], event["eventTime"]) for event in response["events"]] == list(NEWEST_FIRST)
    assert all(event.keys() == {"name", "eventTime", "participantId"} for event in response["events"])
    assert "nextToken" not in response


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


def test_the_cli_lists_the_events_in_pages_of_one(server: RunningServer, cli_config: Path) -> None:
    words = ["list-participant-events", "--stage-arn", STAGE_ARN, "--session-id", SESSION_ID]
    words += ["--participant-id", PARTICIPANT_ID, "--max-results", "1"]
    listed = []
    next_page: list[str] = []
    for _ in DOCUMENTED:
        printed = aws(server, cli_config, *words, *next_page)
        listed += printed["events"]
        next_page = ["--next-token", printed.get("nextToken", "")]
    assert listed == DOCUMENTED
    assert next_page == ["--next-token", ""]


def test_the_session_and_the_participant_are_listed(ivs: Client) -> None:
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
