"""The errors of faults are those of the server itself, byte for byte, and are made at the same point of a request."""

import pytest

from stagebook.api.access.policy import parse_policy
from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.operation import Call
from stagebook.api.fault_table import FaultKind, FaultTable
from stagebook.stage.limits import STRICT
from tests.api.aws.asgi_harness import (
    STAGE_ARN,
    ReceivedResponse,
    credential,
    new_api,
    operations,
    send_request,
    signed_call,
    unsigned,
)

GET_STAGE = signed_call("GetStage", {"arn": STAGE_ARN})
DENY = parse_policy({"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})


def faults(kind: FaultKind) -> FaultTable:
    """Return a table with one fault of GetStage."""
    table = FaultTable()
    table.add(operation="GetStage", kind=kind, times=1)
    return table


async def faulty(kind: FaultKind) -> ReceivedResponse:
    return await send_request(new_api(faults=faults(kind)), GET_STAGE)


async def test_throttling_is_that_of_the_call_rate() -> None:
    api = new_api(throttle=Throttle(STRICT, monotonic_ns=lambda: 0))
    for _ in range(5):
        assert (await send_request(api, GET_STAGE)).status == 200
    real = await send_request(api, GET_STAGE)

    fault = await faulty(FaultKind.THROTTLING)

    assert (fault.status, fault.body, without_id(fault)) == (real.status, real.body, without_id(real))


async def test_a_denied_call_is_that_of_a_policy() -> None:
    real = await send_request(new_api(credentials=[credential(policy=DENY)]), GET_STAGE)

    fault = await faulty(FaultKind.ACCESS_DENIED)

    assert (fault.status, fault.body, without_id(fault)) == (real.status, real.body, without_id(real))


async def test_an_internal_error_is_that_of_a_failure() -> None:
    def fail(_call: Call) -> bytes:
        raise RuntimeError("the disk is full")

    real = await send_request(new_api(operations(GetStage=("arn", fail))), GET_STAGE)

    fault = await faulty(FaultKind.INTERNAL_ERROR)

    assert (fault.status, fault.body, without_id(fault)) == (real.status, real.body, without_id(real))


@pytest.mark.parametrize("kind", [FaultKind.ACCESS_DENIED, FaultKind.INTERNAL_ERROR])
async def test_an_invalid_input_is_refused_before(kind: FaultKind) -> None:
    response = await send_request(new_api(faults=faults(kind)), signed_call("GetStage", {"arn": 1}))

    assert response.error == "ValidationException"


async def test_an_unsigned_request_takes_no_fault() -> None:
    table = faults(FaultKind.INTERNAL_ERROR)

    response = await send_request(new_api(faults=table), unsigned("/GetStage", body=b"{}"))

    assert response.error == "MissingAuthenticationTokenException"
    assert len(table.all) == 1


def without_id(response: ReceivedResponse) -> dict[str, str]:
    """Return the header fields, without the id of the request."""
    return {name: value for name, value in response.headers.items() if name != "x-amzn-requestid"}
