"""Page tokens by boto3: they lead through every list once, and belong to their own call."""

import re
from typing import Any

import pytest

from tests.e2e.aws.documented import NAMES, NEWEST_FIRST, SESSION_ID, STAGE_ARN
from tests.e2e.aws.refusal import refused
from tests.e2e.aws.visit import on_stage
from tests.e2e.server import Client

OTHER_NAMES = {
    "stageArn": STAGE_ARN.replace("abcdABCDefgh", "000000000000"),
    "sessionId": "st-0000000000000",
    "participantId": "000000000000",
}


def walk(call: Any, items: str, **members: object) -> list[Any]:  # noqa: ANN401 - a method of a boto3 client
    """Return all items of a list, page by page, as callers do by hand."""
    found: list[Any] = []
    answer = call(**members)
    while True:
        assert len(answer[items]) <= int(str(members["maxResults"]))
        found += answer[items]
        token = answer.get("nextToken")
        if not token:
            return found
        assert re.fullmatch(r"[a-zA-Z0-9+/=_-]{1,1024}", token)
        answer = call(**members, nextToken=token)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_every_page_size_leads_through_all_events_once(ivs: Client, size: int) -> None:
    events = walk(ivs.list_participant_events, "events", **NAMES, maxResults=size)
    assert [(event["name"], event["eventTime"]) for event in events] == list(NEWEST_FIRST)


def test_stages_sessions_and_participants_come_in_pages(ivs: Client, stage_arn: str) -> None:
    stages = walk(ivs.list_stages, "stages", maxResults=3)
    assert len({stage["arn"] for stage in stages}) == len(stages) >= 2
    assert stage_arn in {stage["arn"] for stage in stages}
    tokens = [ivs.create_participant_token(stageArn=stage_arn)["participantToken"] for _ in range(3)]
    with on_stage(tokens[0]["token"]), on_stage(tokens[1]["token"]), on_stage(tokens[2]["token"]):
        session_id = ivs.get_stage(arn=stage_arn)["stage"]["activeSessionId"]
        participants = walk(
            ivs.list_participants, "participants", stageArn=stage_arn, sessionId=session_id, maxResults=2
        )
    newest_first = [token["participantId"] for token in reversed(tokens)]
    assert [participant["participantId"] for participant in participants] == newest_first
    assert len(walk(ivs.list_stage_sessions, "stageSessions", stageArn=stage_arn, maxResults=1)) == 1


@pytest.fixture
def token(ivs: Client) -> str:
    token: str = ivs.list_participant_events(**NAMES, maxResults=1)["nextToken"]
    return token


def test_a_token_may_be_used_twice(ivs: Client, token: str) -> None:
    pages = [ivs.list_participant_events(**NAMES, maxResults=1, nextToken=token)["events"] for _ in range(2)]
    assert pages[0] == pages[1]


def test_the_page_size_may_change_on_the_way(ivs: Client, token: str) -> None:
    assert len(ivs.list_participant_events(**NAMES, maxResults=2, nextToken=token)["events"]) == 2


@pytest.mark.parametrize("member", list(OTHER_NAMES))
def test_a_token_belongs_to_its_names(ivs: Client, token: str, member: str) -> None:
    with refused("ValidationException", naming="nextToken"):
        ivs.list_participant_events(**{**NAMES, member: OTHER_NAMES[member]}, nextToken=token)


def test_a_token_belongs_to_its_operation(ivs: Client, token: str) -> None:
    with refused("ValidationException", naming="nextToken"):
        ivs.list_participants(stageArn=STAGE_ARN, sessionId=SESSION_ID, nextToken=token)
    with refused("ValidationException", naming="nextToken"):
        ivs.list_stage_sessions(stageArn=STAGE_ARN, nextToken=token)
    with refused("ValidationException", naming="nextToken"):
        ivs.list_stages(nextToken=token)


def test_a_made_up_token_is_refused(ivs: Client, token: str) -> None:
    for made_up in ("a", "made-up", token[:-1], token[::-1], token + "=", "A" * 1024):
        with refused("ValidationException", naming="nextToken"):
            ivs.list_participant_events(**NAMES, nextToken=made_up)


def test_an_empty_token_asks_for_the_first_page(ivs: Client) -> None:
    assert len(ivs.list_participant_events(**NAMES, nextToken="")["events"]) == len(NEWEST_FIRST)
