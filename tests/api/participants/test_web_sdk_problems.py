"""Errors as Amazon's Web Broadcast SDK understands them."""

import httpx
import pytest

from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.problem_responses import (
    INTERNAL,
    OTHER_STATUSES,
    RequestRefusalCode,
    problem_of,
)
from stagebook.api.participants.web_sdk_problems import ANSWERS, problem_for_client
from stagebook.stage.errors import (
    AttemptRefusedError,
    ConflictError,
    ConnectionNotFoundError,
    OfferMalformedError,
    ServerBusyError,
    StagebookError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import ErrorCode
from tests.api.participants.fake_manager import TOKEN, FakeManager

FROM_SDK = {"type": "http", "headers": [(b"x-stages-sdk", b"1.41.0")]}
FROM_ANOTHER_CLIENT = {"type": "http", "headers": [(b"user-agent", b"amazon-ivs-web-broadcast")]}
OFFER = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/sdp", "X-Stages-SDK": "1.41.0"}

UNDERSTOOD = {(401, 2002), (401, 2003), (403, 2003), (403, 2005), (403, 2014), (404, 2004), (429, 2004), (500, 2004)}
"""Status and number with which the SDK gives the application an ERROR event, or tries again."""

NOT_OF_OFFERS = {"ICE_SESSION_MISMATCH", "IF_MATCH_REQUIRED", "METHOD_NOT_ALLOWED", "UPGRADE"}

client_errors: list[StagebookError] = [
    *(TokenRefusedError(refusal=refusal, detail="d") for refusal in TokenRefusal),
    *(AttemptRefusedError(code=code, detail="d") for code in ErrorCode),
    OfferMalformedError("d"),
    ServerBusyError("d"),
    ConnectionNotFoundError(),
    ConflictError("an error without a row of its own"),
]


def test_every_refusal_of_this_api_has_an_answer_and_nothing_else_has() -> None:
    names = {problem_of(error).code for error in client_errors} | {code for _, code in OTHER_STATUSES.values()}
    assert set(ANSWERS) == names | set(RequestRefusalCode) | {INTERNAL.code}


@pytest.mark.parametrize("error", client_errors, ids=lambda error: problem_of(error).code)
def test_every_refusal_of_an_offer_is_one_that_the_sdk_understands(error: StagebookError) -> None:
    problem = problem_for_client(problem_of(error), FROM_SDK)
    assert (problem.status, problem.number) in UNDERSTOOD
    assert problem.code == problem_of(error).code
    assert problem.headers == problem_of(error).headers


@pytest.mark.parametrize("code", sorted(set(RequestRefusalCode) - NOT_OF_OFFERS))
def test_every_refusal_of_the_api_itself_is_one_that_the_sdk_understands(code: str) -> None:
    assert (ANSWERS[code].status, ANSWERS[code].number) in UNDERSTOOD


@pytest.mark.parametrize(
    ("failure", "status", "number", "name"),
    [
        (TokenRefusedError(refusal=TokenRefusal.EXPIRED, detail="d"), 401, 2002, "TOKEN_EXPIRED"),
        (TokenRefusedError(refusal=TokenRefusal.JTI_IN_USE, detail="d"), 403, 2003, "TOKEN_JTI_IN_USE"),
        (TokenRefusedError(refusal=TokenRefusal.STAGE_DELETED, detail="d"), 404, 2004, "TOKEN_STAGE_DELETED"),
        (
            AttemptRefusedError(code=ErrorCode.INSUFFICIENT_CAPABILITIES, detail="d"),
            403,
            2003,
            "INSUFFICIENT_CAPABILITIES",
        ),
        (AttemptRefusedError(code=ErrorCode.QUOTA_EXCEEDED, detail="d"), 403, 2005, "QUOTA_EXCEEDED"),
        (AttemptRefusedError(code=ErrorCode.INVALID_VIDEO_CODEC, detail="d"), 403, 2014, "INVALID_VIDEO_CODEC"),
        (AttemptRefusedError(code=ErrorCode.PUBLISHER_NOT_FOUND, detail="d"), 404, 2004, "PUBLISHER_NOT_FOUND"),
        (
            AttemptRefusedError(code=ErrorCode.INTERNAL_SERVER_EXCEPTION, detail="d"),
            429,
            2004,
            "INTERNAL_SERVER_EXCEPTION",
        ),
        (ServerBusyError("d"), 429, 2004, "BUSY"),
    ],
)
async def test_a_refused_offer_of_the_sdk_has_a_number_and_our_name(
    failure: Exception, status: int, number: int, name: str
) -> None:
    manager = FakeManager()
    manager.failure = failure
    transport = httpx.ASGITransport(ParticipantsApi(manager))
    async with httpx.AsyncClient(transport=transport, base_url="http://stagebook") as client:
        response = await client.post("/whip/publish/abCDEf12GHIj", content="v=0", headers=OFFER)
    assert (response.status_code, response.json()) == (status, {"code": number, "name": name, "message": str(failure)})


async def test_an_internal_error_stays_a_500_with_a_number() -> None:
    manager = FakeManager()
    manager.failure = KeyError("inner")
    transport = httpx.ASGITransport(ParticipantsApi(manager))
    async with httpx.AsyncClient(transport=transport, base_url="http://stagebook") as client:
        response = await client.post("/whip", content="v=0", headers=OFFER)
    assert (response.status_code, response.json()["code"]) == (500, 2004)


@pytest.mark.parametrize("error", client_errors, ids=lambda error: problem_of(error).code)
def test_other_clients_get_the_refusal_as_it_is(error: StagebookError) -> None:
    problem = problem_of(error)
    assert problem_for_client(problem, FROM_ANOTHER_CLIENT) is problem
