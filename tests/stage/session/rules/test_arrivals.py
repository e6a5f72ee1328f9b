"""The client software in the row of a participant."""

from msgspec.structs import replace

from stagebook.stage.events import Cause
from stagebook.stage.resources import ClientInfo
from stagebook.stage.session.decision import Decision
from stagebook.stage.session.orders import WriteParticipant
from tests.stage.session.decided_session import (
    CLIENT,
    DecidedSession,
    connected,
    ended,
    events,
    orders_of,
    publish,
    subscribe,
)

SDK = ClientInfo(browser_name="Chromium", sdk_version="1.41.0")
LATER_SDK = ClientInfo(browser_name="Firefox", sdk_version="1.42.0")


def clients_written(decision: Decision) -> list[ClientInfo]:
    """Return the clients of the rows that a decision writes."""
    return [order.record.client for order in orders_of(decision, WriteParticipant)]


def test_the_version_of_an_sdk_is_written_with_the_subscription_that_names_it() -> None:
    session = DecidedSession()
    session.publish("P")
    session.open_events("V")

    session.apply(replace(subscribe("V", "sub", "P"), client=SDK))
    session.answer("V", "sub")

    assert clients_written(session.apply(connected("V", "sub"))) == [SDK]


def test_the_version_of_an_sdk_is_written_with_the_publication_that_names_it() -> None:
    session = DecidedSession()
    session.open_events("P")

    session.apply(replace(publish("P", "pub"), client=SDK))
    session.answer("P", "pub")

    assert clients_written(session.apply(connected("P", "pub"))) == [SDK]


def test_a_subscription_without_news_of_the_client_writes_no_row() -> None:
    session = DecidedSession()
    session.publish("P")
    session.open_events("V")

    assert clients_written(session.subscribe("V", "P")) == []
    assert session.participant("V").record.client == CLIENT


def test_the_first_client_with_a_version_stays() -> None:
    session = DecidedSession()
    session.apply(replace(publish("P", "one"), client=SDK))
    session.answer("P", "one")

    session.apply(replace(publish("P", "two"), client=LATER_SDK))

    assert session.participant("P").record.client == SDK


def test_a_participant_that_returns_can_name_the_version_of_an_sdk() -> None:
    session = DecidedSession()
    session.open_events("P", "first")
    left = session.apply(ended("P", "first", Cause.CLIENT))
    (known,) = [order.record for order in orders_of(left, WriteParticipant)]

    returned = session.apply(replace(events("P", "second", known=known), client=SDK))

    assert clients_written(returned) == [SDK]
