"""Each fault of the AWS API, as unmodified boto3 sees it, and those of WHIP requests."""

import time
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.e2e.testing.controlled_server import ControlledServer


class CalledStages:
    """The stages of a fresh account."""

    def __init__(self, controlled: ControlledServer, *, attempts: int = 1) -> None:
        self.account = controlled.post("/accounts")
        self.ivs = controlled.client(self.account, attempts=attempts)

    def names(self) -> list[str]:
        return [stage["name"] for stage in self.ivs.list_stages()["stages"]]

    def error(self, **members: Any) -> Any:  # noqa: ANN401 - botocore's parsed response
        with pytest.raises(ClientError) as raised:
            self.ivs.create_stage(**members)
        return raised.value.response


def shown(response: Any) -> Any:  # noqa: ANN401 - botocore's parsed response
    """Return all that a client can compare: the error, the status and the header fields that are not of one request."""
    metadata = response["ResponseMetadata"]
    headers = {
        name: value for name, value in metadata["HTTPHeaders"].items() if name not in {"date", "x-amzn-requestid"}
    }
    return response["Error"], response.get("exceptionMessage"), metadata["HTTPStatusCode"], headers


def test_throttled_twice_the_third_attempt_succeeds(controlled: ControlledServer) -> None:
    stages = CalledStages(controlled, attempts=4)
    controlled.post(
        "/faults", operation="CreateStage", kind="THROTTLING", times=2, accountId=stages.account["accountId"]
    )

    created = stages.ivs.create_stage(name="third")

    assert created["ResponseMetadata"]["RetryAttempts"] == 2
    assert stages.names() == ["third"]
    assert controlled.get("/faults") == {"faults": []}


def test_a_throttled_call_is_that_of_the_real_limit(controlled: ControlledServer) -> None:
    stages = CalledStages(controlled)
    real = None
    for _ in range(50):
        try:
            stages.ivs.create_stage()
        except ClientError as error:
            real = error.response
            break
    controlled.post("/clock/advance", seconds=10)
    controlled.post("/faults", operation="CreateStage", kind="THROTTLING")

    assert real is not None
    assert real["Error"]["Code"] == "ThrottlingException"
    assert shown(stages.error()) == shown(real)


def test_a_denied_call_is_that_of_a_real_policy(controlled: ControlledServer) -> None:
    stages = CalledStages(controlled)
    arn = stages.ivs.create_stage()["stage"]["arn"]
    controlled.post("/faults", operation="GetStage", kind="ACCESS_DENIED")

    with pytest.raises(ClientError) as raised:
        stages.ivs.get_stage(arn=arn)

    caller = f"arn:aws:iam::{stages.account['accountId']}:user/stagebook"
    rule = f"User: {caller} is not authorized to perform: ivs:GetStage on resource: {arn}"
    assert raised.value.response["Error"] == {"Code": "AccessDeniedException", "Message": rule}
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_failed_call_has_no_effect(controlled: ControlledServer) -> None:
    stages = CalledStages(controlled)
    controlled.post("/faults", operation="CreateStage", kind="INTERNAL_ERROR")

    response = stages.error()

    assert response["Error"]["Code"] == "InternalServerException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert stages.names() == []


def test_a_slow_answer_delays_no_other(controlled: ControlledServer) -> None:
    slow, fast = CalledStages(controlled), CalledStages(controlled)
    controlled.post("/faults", operation="CreateStage", kind="SLOW", seconds=60, accountId=slow.account["accountId"])

    with pytest.raises(httpx.ReadTimeout):
        controlled.signed("POST", "/CreateStage", slow.account, body=b'{"name": "slow"}', timeout_seconds=1)
    fast.ivs.create_stage(name="fast")

    assert (slow.names(), fast.names()) == (["slow"], ["fast"])


def test_a_slow_answer_comes_after_its_time(controlled: ControlledServer) -> None:
    stages = CalledStages(controlled)
    controlled.post("/faults", operation="CreateStage", kind="SLOW", seconds=0.2)

    began = time.monotonic()
    stages.ivs.create_stage(name="slow")

    assert time.monotonic() - began >= 0.2


def test_a_cut_connection_is_retried_and_the_call_had_no_effect(controlled: ControlledServer) -> None:
    once, again = CalledStages(controlled), CalledStages(controlled, attempts=3)
    controlled.post("/faults", operation="CreateStage", kind="CUT", times=2)

    with pytest.raises(ConnectionClosedError):
        once.ivs.create_stage(name="lost")
    created = again.ivs.create_stage(name="kept")

    assert created["ResponseMetadata"]["RetryAttempts"] == 1
    assert (once.names(), again.names()) == ([], ["kept"])


def test_a_lost_answer_is_retried_and_the_call_had_its_effect(controlled: ControlledServer) -> None:
    stages = CalledStages(controlled, attempts=3)
    controlled.post("/faults", operation="CreateStage", kind="LOSE_ANSWER")

    stages.ivs.create_stage(name="twice")

    assert stages.names() == ["twice", "twice"]


def test_half_an_answer_is_sent_and_the_call_had_its_effect(controlled: ControlledServer) -> None:
    stages = CalledStages(controlled)
    controlled.post("/faults", operation="CreateStage", kind="CUT_ANSWER", times=2)

    # botocore does not compare the body with its length, and takes JSON that it cannot parse as no members.
    assert stages.ivs.create_stage(name="half").keys() == {"ResponseMetadata"}
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        controlled.signed("POST", "/CreateStage", stages.account, body=b"{}")
    assert sorted(stages.names()) == ["", "half"]


def test_the_answer_of_a_refused_call_is_lost_as_well(controlled: ControlledServer) -> None:
    stages = CalledStages(controlled)
    controlled.post("/faults", operation="GetStage", kind="LOSE_ANSWER")

    with pytest.raises(ConnectionClosedError):
        stages.ivs.get_stage(arn=f"arn:aws:ivs:us-west-2:{stages.account['accountId']}:stage/none")


def test_a_fault_is_for_its_operation_and_account_only(controlled: ControlledServer) -> None:
    one, other = CalledStages(controlled), CalledStages(controlled)
    fault = controlled.post(
        "/faults", operation="*", kind="INTERNAL_ERROR", times=9, accountId=one.account["accountId"]
    )
    elsewhere = controlled.post("/faults", operation="DeleteStage", kind="INTERNAL_ERROR")

    other.ivs.create_stage()
    with pytest.raises(ClientError, match="InternalServerException"):
        one.names()

    assert controlled.get("/faults")["faults"] == [{**fault, "times": 8}, elsewhere]
    assert controlled.http.delete(f"/faults/{fault['id']}").status_code == 204
    assert one.names() == []
    assert controlled.http.delete("/faults").status_code == 204
    assert controlled.get("/faults") == {"faults": []}
    assert controlled.http.delete(f"/faults/{fault['id']}").status_code == 404


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        ("THROTTLING", 429, "TOO_MANY_REQUESTS"),
        ("ACCESS_DENIED", 401, "TOKEN_EXPIRED"),
        ("INTERNAL_ERROR", 500, "INTERNAL"),
    ],
)
def test_a_whip_request_gets_the_error_of_its_fault_once(
    controlled: ControlledServer, kind: str, status: int, name: str
) -> None:
    controlled.post("/faults", operation="*", kind="CUT")
    controlled.post("/faults", operation="Publish", kind=kind)

    first, second = offer(controlled), offer(controlled)
    controlled.http.delete("/faults")

    assert (first.status_code, first.json()["code"]) == (status, name)
    assert second.status_code == 401  # the token of the request is none


@pytest.mark.parametrize("kind", ["CUT", "LOSE_ANSWER", "CUT_ANSWER"])
def test_the_connection_of_a_whip_request_is_cut(controlled: ControlledServer, kind: str) -> None:
    controlled.post("/faults", operation="Publish", kind=kind)

    with pytest.raises(httpx.RemoteProtocolError):
        offer(controlled)


def test_the_answer_to_a_whip_request_is_slow(controlled: ControlledServer) -> None:
    controlled.post("/faults", operation="Publish", kind="SLOW", seconds=0.2)

    began = time.monotonic()
    offer(controlled)

    assert time.monotonic() - began >= 0.2


def offer(controlled: ControlledServer) -> httpx.Response:
    """Offer to publish, with a token that is none."""
    headers = {"authorization": "Bearer none", "content-type": "application/sdp"}
    return httpx.post(f"{controlled.server.url}/whip", headers=headers, content=b"v=0")


@pytest.mark.parametrize(
    ("members", "detail"),
    [
        ({"operation": "CreateStages", "kind": "CUT"}, "operation: must be * or one of "),
        ({"operation": "CreateStage", "kind": "SLOW"}, "seconds: must be given for SLOW"),
        ({"operation": "CreateStage", "kind": "CUT", "seconds": 1}, "seconds: must be given for SLOW"),
        ({"operation": "CreateStage", "kind": "SLOW", "seconds": 301}, "seconds: Expected `float` <= 300.0"),
        ({"operation": "CreateStage", "kind": "BROKEN"}, "kind: Invalid enum value 'BROKEN'"),
        ({"operation": "Publish", "kind": "CUT", "accountId": "123456789012"}, "accountId: must be left out"),
        ({"operation": "CreateStage", "kind": "CUT", "times": 0}, "times: Expected `int` >= 1"),
    ],
)
def test_a_wrong_fault_is_refused_with_its_rule(
    controlled: ControlledServer, members: dict[str, object], detail: str
) -> None:
    status, shown_detail = controlled.refused("/faults", **members)

    assert status == 400
    assert shown_detail.startswith(detail)
