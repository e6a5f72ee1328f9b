"""The HTTP responses to domain errors."""

import pytest

from stagebook.api.participants import problem_responses
from stagebook.api.participants.problem_responses import problem_of
from stagebook.api.routes.api_problems import problem_response
from stagebook.book.book_errors import BookTakenOverError
from stagebook.stage import errors as domain
from stagebook.stage.errors import AttemptRefusedError, TokenRefusal, TokenRefusedError
from stagebook.stage.events import ErrorCode

EXAMPLES: dict[type[domain.StagebookError], domain.StagebookError] = {
    domain.InvalidInputError: domain.InvalidInputError(member="m", rule="r"),
    domain.MalformedArnError: domain.MalformedArnError(text="t"),
    domain.ResourceNotFoundError: domain.ResourceNotFoundError(kind="stage", name="s"),
    domain.ConflictError: domain.ConflictError("c"),
    domain.ServiceQuotaExceededError: domain.ServiceQuotaExceededError(quota="q", maximum=1),
    domain.TokenRefusedError: TokenRefusedError(refusal=TokenRefusal.EXPIRED, detail="d"),
    domain.AttemptRefusedError: AttemptRefusedError(code=ErrorCode.QUOTA_EXCEEDED, detail="d"),
    domain.ConnectionNotFoundError: domain.ConnectionNotFoundError(),
    domain.ExchangeRefusedError: domain.ExchangeRefusedError("x"),
    domain.OfferMalformedError: domain.OfferMalformedError("o"),
    domain.IceSessionMismatchError: domain.IceSessionMismatchError(),
    domain.LayerNotFoundError: domain.LayerNotFoundError(),
    domain.ServerBusyError: domain.ServerBusyError("b"),
    domain.StreamKeyUnknownError: domain.StreamKeyUnknownError(),
}


def test_every_domain_error_has_an_example_here() -> None:
    assert set(EXAMPLES) == set(domain.StagebookError.__subclasses__())


@pytest.mark.parametrize("error", EXAMPLES.values(), ids=lambda error: type(error).__name__)
def test_every_domain_error_has_an_error_status_and_its_message(error: domain.StagebookError) -> None:
    problem = problem_of(error)
    assert 400 <= problem.status <= 503
    assert problem.message == str(error)


def test_a_client_of_a_node_that_another_one_has_replaced_is_told_to_try_again() -> None:
    error = BookTakenOverError("try again")
    problem, response = problem_of(error), problem_response(error)
    assert response is not None
    assert (problem.status, problem.code, response.status) == (503, "BUSY", 503)
    assert (b"retry-after", b"1") in problem.headers
    assert (b"retry-after", b"1") in response.headers


@pytest.mark.parametrize("refusal", TokenRefusal)
def test_every_token_refusal_has_a_status_and_only_401_has_www_authenticate(refusal: TokenRefusal) -> None:
    problem = problem_of(TokenRefusedError(refusal=refusal, detail="d"))
    assert problem.status == problem_responses.TOKEN_STATUSES[refusal]
    assert (problem.status == 401) == (problem_responses.INVALID_TOKEN in problem.headers)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_has_a_status(code: ErrorCode) -> None:
    problem = problem_of(AttemptRefusedError(code=code, detail="d"))
    assert (problem.code, problem.status) == (code.value, problem_responses.ATTEMPT_STATUSES.get(code, 400))
