"""Offers in progress that end without a connection."""

import pytest

from stagebook.stage.errors import ServerBusyError, StagebookError, TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import CancelAttempt, CloseRoute, EndSource
from stagebook.stage.session.rules.attempt_cancellation import cancel_attempts, cancellation, drop_attempt
from tests.stage.session.decided_session import DecidedSession, publish, subscribe


def draft_with_offers() -> Draft:
    """Return the draft of a session in which A has an offer to publish and one to watch P."""
    session = DecidedSession()
    session.publish("P")
    session.apply(publish("A", "offer"))
    session.apply(subscribe("A", "watch", "P"))
    return Draft(session.session, session.context)


def test_every_offer_of_a_participant_is_cancelled_with_the_error() -> None:
    draft, error = draft_with_offers(), ServerBusyError("gone")
    cancel_attempts(draft, "A", error)
    cancel_attempts(draft, "nobody", error)
    assert not draft.get("A").attempts
    cancelled = [order for order in draft.orders if isinstance(order, CancelAttempt)]
    assert cancelled == [
        CancelAttempt(connection_id="offer", error=error),
        CancelAttempt(connection_id="watch", error=error),
    ]
    assert sum(isinstance(order, CloseRoute) for order in draft.orders) == 2
    assert sum(isinstance(order, EndSource) for order in draft.orders) == 1


def test_an_offer_that_becomes_a_connection_keeps_its_source_and_its_route() -> None:
    draft = draft_with_offers()
    assert list(drop_attempt(draft, "A", "offer", keep_source=True).attempts) == ["watch"]
    assert draft.orders == []
    assert draft.sources.get("A") is not None


@pytest.mark.parametrize(
    ("cause", "refusal"),
    [
        (Cause.STAGE_DELETED, TokenRefusal.STAGE_DELETED),
        (Cause.CONNECTION_TOKEN_REVOKED, TokenRefusal.CONNECTION_TOKEN),
        (Cause.DISCONNECTED_BY_API, TokenRefusal.PARTICIPANT_DISCONNECTED),
    ],
)
def test_the_error_of_a_cancellation_says_why(cause: Cause, refusal: TokenRefusal) -> None:
    error = cancellation(cause)
    assert isinstance(error, TokenRefusedError)
    assert error.refusal is refusal


def test_a_server_that_stops_is_busy() -> None:
    error: StagebookError = cancellation(Cause.SHUTDOWN)
    assert isinstance(error, ServerBusyError)
