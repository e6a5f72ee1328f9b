"""The clock and the accounts of a real server, with unmodified boto3 and a real participants API."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.e2e.testing.controlled_server import ControlledServer


def now(controlled: ControlledServer) -> datetime:
    return datetime.fromisoformat(controlled.get("/clock")["now"])


def test_the_server_says_what_a_client_needs(controlled: ControlledServer) -> None:
    described = controlled.get("/server")

    assert described["endpointUrl"] == controlled.server.url
    assert described["region"] == "us-west-2"
    assert controlled.client(described).list_stages()["stages"] == []


def test_accounts_do_not_see_each_other(controlled: ControlledServer) -> None:
    one, other = controlled.client(), controlled.client()
    arn = one.create_stage(name="mine")["stage"]["arn"]

    assert [stage["arn"] for stage in one.list_stages()["stages"]] == [arn]
    assert other.list_stages()["stages"] == []
    with pytest.raises(ClientError, match="AccessDenied"):
        other.get_stage(arn=arn)


def test_a_fresh_key_signs_requests_to_the_watch_api(controlled: ControlledServer) -> None:
    account = controlled.post("/accounts", accountId="210987654321")
    signed = controlled.signed("GET", "/watch/v1/me", account, service="stagebook")

    assert signed.status_code == 200, signed.text
    assert signed.json()["accountId"] == "210987654321"


def test_a_token_of_12_hours_expires_on_the_way(controlled: ControlledServer) -> None:
    ivs = controlled.client()
    stage = ivs.create_stage(name="expiring")["stage"]
    old = ivs.create_participant_token(stageArn=stage["arn"])["participantToken"]["token"]

    before = now(controlled)
    answer = controlled.post("/clock/advance", seconds=25 * 3_600)
    new = ivs.create_participant_token(stageArn=stage["arn"])["participantToken"]

    moved = datetime.fromisoformat(answer["now"]) - before
    assert timedelta(hours=25) <= moved < timedelta(hours=25, minutes=2)
    assert whip_status(stage, old) == 401
    # An offer that is none is refused after its token was accepted.
    assert whip_status(stage, new["token"]) == 400
    assert new["expirationTime"] > before + timedelta(hours=25)


def test_a_call_rate_is_free_again_after_a_second(controlled: ControlledServer) -> None:
    ivs = controlled.client()
    with pytest.raises(ClientError, match="ThrottlingException"):
        list_stages_often(ivs)

    controlled.post("/clock/advance", seconds=1)

    ivs.list_stages()


def test_the_clock_stands_still_and_goes_on(controlled: ControlledServer) -> None:
    at = now(controlled) + timedelta(hours=1)
    ivs = controlled.client()
    stage = ivs.create_stage(name="still")["stage"]

    assert controlled.post("/clock/freeze", at=at.isoformat()) == controlled.get("/clock")
    tokens = [ivs.create_participant_token(stageArn=stage["arn"], duration=60) for _ in range(2)]
    resumed = controlled.post("/clock/resume")

    expected = (at + timedelta(hours=1)).replace(microsecond=0)
    assert {token["participantToken"]["expirationTime"] for token in tokens} <= {
        expected,
        expected + timedelta(seconds=1),
    }
    assert len({token["participantToken"]["expirationTime"] for token in tokens}) == 1
    assert resumed["isFrozen"] is False
    assert datetime.fromisoformat(resumed["now"]) >= at - timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("path", "members", "detail"),
    [
        ("/clock/advance", {"seconds": -1}, "seconds: Expected `float` >= 0.0"),
        ("/clock/advance", {"seconds": 1e9}, "seconds: Expected `float` <= 315619200.0"),
        ("/clock/advance", {}, "Object missing required field `seconds`"),
        ("/clock/freeze", {"at": "2020-01-01T00:00:00Z"}, "at: the clock cannot go back: it is "),
        ("/clock/freeze", {"at": "2100-01-02T00:00:00Z"}, "at: the clock cannot go beyond 2100-01-01T00:00:00.000Z"),
        ("/clock/freeze", {"at": "2030-01-01T00:00:00"}, "at: Expected `datetime` with a timezone component"),
        ("/accounts", {"accountId": "1"}, "accountId: Expected `str` matching regex "),
        ("/accounts", {"accountId": "123456789012\n"}, "accountId: Expected `str` matching regex "),
        ("/accounts", {"account": "1"}, "Object contains unknown field `account`"),
    ],
)
def test_a_wrong_input_is_refused_with_its_rule(
    controlled: ControlledServer, path: str, members: dict[str, object], detail: str
) -> None:
    status, shown = controlled.refused(path, **members)

    assert status == 400
    assert shown.startswith(detail)


def list_stages_often(ivs: Any) -> None:  # noqa: ANN401 - a boto3 client
    """List stages above the rate of the account."""
    for _ in range(100):
        ivs.list_stages()


def whip_status(stage: dict[str, dict[str, str]], token: str) -> int:
    """Offer nothing to publish with a token; return the status of the refusal."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
    return httpx.post(stage["endpoints"]["whip"], headers=headers, content=b"no offer").status_code
