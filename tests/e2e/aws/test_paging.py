"""Page tokens with boto3: they list every item once, and are bound to their operation and input."""

import re
from typing import Any

import pytest

from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import NEWEST_FIRST, REQUEST, SESSION_ID, STAGE_ARN
from tests.e2e.aws.websocket_client import joined
from tests.e2e.server import Client

OTHER_MEMBERS = {
    "stageArn": STAGE_ARN.replace("abcdABCDefgh", "000000000000"),
    "sessionId": "st-0000000000000",
    "participantId": "000000000000",
}


def list_all(call: Any, items: str, **members: object) -> list[Any]:  # noqa: ANN401 - a method of a boto3 client
    """Return all items of a list, requested page by page."""
    found: list[Any] = []
    response = call(**members)
    while True:
        assert len(response[items]) <= int(str(members["maxResults"]))
        found += response[items]
        token = response.get("nextToken")
        if not token:
            return found
        assert re.fullmatch(r"[a-zA-Z0-9+/=_-]{1,1024}", token)
        response = call(**members, nextToken=token)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_every_page_size_lists_all_events_once(ivs: Client, size: int) -> None:
    events = list_all(ivs.list_participant_events, "events", **REQUEST, maxResults=size)
    assert [(event["name"], event["eventTime"]) for event in events] == list(NEWEST_FIRST)


def test_stages_sessions_and_participants_are_paged(ivs: Client, stage_arn: str) -> None:
    stages = list_all(ivs.list_stages, "stages", maxResults=3)
    assert len({stage["arn"] for stage in stages}) == len(stages) >= 2
    assert stage_arn in {stage["arn"] for stage in stages}
    tokens = [ivs.create_participant_token(stageArn=stage_arn)["participantToken"] for _ in range(3)]
    with joined(tokens[0]["token"]), joined(tokens[1]["token"]), joined(tokens[2]["token"]):
        session_id = ivs.get_stage(arn=stage_arn)["stage"]["activeSessionId"]
        participants = list_all(
            ivs.list_participants, "participants", stageArn=stage_arn, sessionId=session_id, maxResults=2
        )
    newest_first = [token["participantId"] for token in reversed(tokens)]
    assert [participant["participantId"] for participant in participants] == newest_first
    assert len(list_all(ivs.list_stage_sessions, "stageSessions", stageArn=stage_arn, maxResults=1)) == 1


@pytest.fixture
def token(ivs: Client) -> str:
    token: str = ivs.list_participant_events(**REQUEST, maxResults=1)["nextToken"]
    return token


def test_a_token_may_be_used_twice(ivs: Client, token: str) -> None:
    pages = [ivs.list_participant_events(**REQUEST, maxResults=1, nextToken=token)["events"] for _ in range(2)]
    assert pages[0] == pages[1]


def test_the_page_size_may_change_between_pages(ivs: Client, token: str) -> None:
    assert len(ivs.list_participant_events(**REQUEST, maxResults=2, nextToken=token)["events"]) == 2


@pytest.mark.parametrize("member", list(OTHER_MEMBERS))
def test_a_token_is_refused_for_another_stage_session_or_participant(ivs: Client, token: str, member: str) -> None:
    with refused("ValidationException", naming="nextToken"):
        ivs.list_participant_events(**{**REQUEST, member: OTHER_MEMBERS[member]}, nextToken=token)


def test_a_token_is_refused_by_another_operation(ivs: Client, token: str) -> None:
    with refused("ValidationException", naming="nextToken"):
        ivs.list_participants(stageArn=STAGE_ARN, sessionId=SESSION_ID, nextToken=token)
    with refused("ValidationException", naming="nextToken"):
        ivs.list_stage_sessions(stageArn=STAGE_ARN, nextToken=token)
    with refused("ValidationException", naming="nextToken"):
        ivs.list_stages(nextToken=token)


def test_a_forged_token_is_refused(ivs: Client, token: str) -> None:
    for forged in ("a", "forged", token[:-1], token[::-1], token + "=", "A" * 1024):
        with refused("ValidationException", naming="nextToken"):
            ivs.list_participant_events(**REQUEST, nextToken=forged)


def test_an_empty_token_requests_the_first_page(ivs: Client) -> None:
    assert len(ivs.list_participant_events(**REQUEST, nextToken="")["events"]) == len(NEWEST_FIRST)
