"""Tokens, sessions, participants and events with boto3, and participants that join over the events websocket."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import ACCOUNT_ID, REQUEST, SESSION_ID, STAGE_ARN
from tests.e2e.aws.websocket_client import TIMEOUT_SECONDS, joined
from tests.e2e.server import Client

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/000000000000"
UNKNOWN_SESSION_ID = "st-0000000000000"
UNKNOWN_PARTICIPANT_ID = "000000000000"


def wait_until(holds: Callable[[], bool]) -> None:
    """Poll until a condition holds; fail after TIMEOUT_SECONDS."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "the condition does not hold"
        time.sleep(0.02)


def assert_disconnected(websocket: ClientConnection) -> None:
    """Assert that the server closes the websocket, after any number of messages."""
    for _ in range(100):
        try:
            websocket.recv(timeout=TIMEOUT_SECONDS)
        except ConnectionClosed:
            return
    raise AssertionError("the connection is still open")


def test_create_participant_token_returns_the_members_of_its_input(ivs: Client, stage_arn: str) -> None:
    given = {"duration": 30, "userId": "bob", "attributes": {"role": "höst"}, "capabilities": ["SUBSCRIBE"]}
    token = ivs.create_participant_token(stageArn=stage_arn, **given)["participantToken"]
    assert token.keys() == {"participantId", "token", "expirationTime"} | given.keys()
    assert token.items() >= given.items()


def test_a_token_without_a_duration_is_valid_for_twelve_hours(ivs: Client, stage_arn: str) -> None:
    response = ivs.create_participant_token(stageArn=stage_arn)
    token = response["participantToken"]
    assert token.keys() == {"participantId", "token", "expirationTime"}
    issued = token["expirationTime"] - timedelta(hours=12)
    assert abs(issued.timestamp() - time.time()) < TIMEOUT_SECONDS


def test_a_token_for_an_unknown_stage_is_refused(ivs: Client) -> None:
    with refused("ResourceNotFoundException", naming=UNKNOWN_ARN):
        ivs.create_participant_token(stageArn=UNKNOWN_ARN)


def test_attributes_over_a_kilobyte_are_refused(ivs: Client, stage_arn: str) -> None:
    attributes = {"k" * 24: "é" * 500}
    ivs.create_participant_token(stageArn=stage_arn, attributes=attributes)
    with refused("ValidationException", naming="attributes"):
        ivs.create_participant_token(stageArn=stage_arn, attributes={**attributes, "": "x"})
    with refused("ValidationException", naming="attributes"):
        ivs.create_stage(participantTokenConfigurations=[{"attributes": {**attributes, "": "x"}}])


def test_joining_and_leaving_makes_one_session_one_participant_and_two_events(ivs: Client, stage_arn: str) -> None:
    token = ivs.create_participant_token(stageArn=stage_arn, userId="alice", attributes={"role": "host"})
    participant_id = token["participantToken"]["participantId"]
    with joined(token["participantToken"]["token"]):
        (session,) = ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"]
        names = {"stageArn": stage_arn, "sessionId": session["sessionId"], "participantId": participant_id}
        participant = ivs.get_participant(**names)["participant"]
        assert participant["state"] == "CONNECTED"
        assert (participant["userId"], participant["attributes"]) == ("alice", {"role": "host"})
        assert (participant["recordingState"], participant["protocol"]) == ("DISABLED", "UNKNOWN")
        (joined_event,) = ivs.list_participant_events(**names)["events"]
        assert joined_event == {
            "name": "JOINED",
            "participantId": participant_id,
            "eventTime": participant["firstJoinTime"],
        }
    wait_until(lambda: ivs.get_participant(**names)["participant"]["state"] == "DISCONNECTED")
    left, same_joined_event = ivs.list_participant_events(**names)["events"]
    assert (left["name"], same_joined_event) == ("LEFT", joined_event)
    wait_until(
        lambda: "endTime" in ivs.get_stage_session(stageArn=stage_arn, sessionId=names["sessionId"])["stageSession"]
    )
    assert "activeSessionId" not in ivs.get_stage(arn=stage_arn)["stage"]


def test_filters_select_participants(ivs: Client, stage_arn: str) -> None:
    responses = [ivs.create_participant_token(stageArn=stage_arn, userId=name) for name in ("alice", "bob")]
    alice, bob = (created["participantToken"] for created in responses)
    with joined(alice["token"]):
        names = {"stageArn": stage_arn, "sessionId": ivs.get_stage(arn=stage_arn)["stage"]["activeSessionId"]}
        with joined(bob["token"]):
            pass

        def listed(**filters: object) -> list[str]:
            participants = ivs.list_participants(**names, **filters)["participants"]
            return [participant["participantId"] for participant in participants]

        wait_until(lambda: listed(filterByState="DISCONNECTED") == [bob["participantId"]])
        assert listed() == [bob["participantId"], alice["participantId"]]
        assert listed(filterByState="CONNECTED") == [alice["participantId"]]
        assert listed(filterByUserId="alice") == [alice["participantId"]]
        assert listed(filterByPublished=False) == listed()
        assert listed(filterByPublished=True) == []
        assert listed(filterByRecordingState="ACTIVE") == []
        with refused("ValidationException", naming="only one filter"):
            listed(filterByPublished=False, filterByState="CONNECTED")


def test_unknown_names_give_empty_lists_and_not_found_errors(ivs: Client) -> None:
    for stage_arn, session_id in ((UNKNOWN_ARN, SESSION_ID), (STAGE_ARN, UNKNOWN_SESSION_ID)):
        session = {"stageArn": stage_arn, "sessionId": session_id}
        names = {**session, "participantId": UNKNOWN_PARTICIPANT_ID}
        assert ivs.list_participants(**session)["participants"] == []
        assert ivs.list_participant_events(**names)["events"] == []
        with refused("ResourceNotFoundException", naming=session_id):
            ivs.get_stage_session(**session)
        with refused("ResourceNotFoundException", naming=UNKNOWN_PARTICIPANT_ID):
            ivs.get_participant(**names)
    assert ivs.list_stage_sessions(stageArn=UNKNOWN_ARN)["stageSessions"] == []
    assert ivs.list_participant_events(**{**REQUEST, "participantId": UNKNOWN_PARTICIPANT_ID})["events"] == []


def test_a_disconnected_participant_cannot_join_again(ivs: Client, stage_arn: str) -> None:
    created = ivs.create_participant_token(stageArn=stage_arn)["participantToken"]
    with joined(created["token"]) as websocket:
        session_id = ivs.get_stage(arn=stage_arn)["stage"]["activeSessionId"]
        ivs.disconnect_participant(stageArn=stage_arn, participantId=created["participantId"], reason="enough")
        assert_disconnected(websocket)
    names = {"stageArn": stage_arn, "sessionId": session_id, "participantId": created["participantId"]}
    assert [event["name"] for event in ivs.list_participant_events(**names)["events"]] == ["LEFT", "JOINED"]
    with pytest.raises(InvalidStatus), joined(created["token"]):
        pass
    assert len(ivs.list_participant_events(**names)["events"]) == 2


def test_disconnecting_an_unknown_participant_succeeds_but_not_on_an_unknown_stage(ivs: Client, stage_arn: str) -> None:
    ivs.disconnect_participant(stageArn=stage_arn, participantId=UNKNOWN_PARTICIPANT_ID)
    with refused("ResourceNotFoundException", naming=UNKNOWN_ARN):
        ivs.disconnect_participant(stageArn=UNKNOWN_ARN, participantId=UNKNOWN_PARTICIPANT_ID)


def test_deleting_a_stage_disconnects_its_participants(ivs: Client, stage_arn: str) -> None:
    created = ivs.create_participant_token(stageArn=stage_arn)["participantToken"]
    with joined(created["token"]) as websocket:
        ivs.delete_stage(arn=stage_arn)
        assert_disconnected(websocket)
    assert ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"] == []
