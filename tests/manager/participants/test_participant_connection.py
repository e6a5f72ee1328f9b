"""A client that ends a connection which has ended already."""

import pytest

from stagebook.manager.session.session_registry import ENDED_ROUTES, Route, SessionRegistry
from stagebook.media.port import CloseCause
from stagebook.stage.errors import ConnectionNotFoundError
from stagebook.stage.events import Cause
from stagebook.stage.participant.transitions import ConnectionKind
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher


async def test_a_connection_can_be_ended_twice(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P")
    connection_id = await harness.publish(claims)

    for _ in range(3):
        await harness.manager.participants.close(claims, connection_id=connection_id)

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


async def test_a_connection_whose_peer_has_gone_can_be_ended(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    await harness.publish(harness.claims(stage, "P"))
    claims = harness.claims(stage, "V")
    connection_id = await harness.subscribe(claims, "P")
    harness.engine.lose(connection_id, CloseCause.PEER_CLOSED)

    await harness.manager.participants.close(claims, connection_id=connection_id)

    assert (await harness.events(stage, "V"))[-1] == "LEFT"


async def test_only_its_own_participant_is_answered_for_an_ended_connection(harness: ManagerHarness) -> None:
    stage, other = await harness.stage(), await harness.stage()
    claims = harness.claims(stage, "P")
    connection_id = await harness.publish(claims)
    await harness.manager.participants.close(claims, connection_id=connection_id)

    for foreign in (harness.claims(stage, "Q"), harness.claims(other, "P")):
        with pytest.raises(ConnectionNotFoundError):
            await harness.manager.participants.close(foreign, connection_id=connection_id)
    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.close(claims, connection_id="never-opened")


async def test_an_ended_connection_cannot_be_patched(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P")
    connection_id = await harness.publish(claims)
    await harness.manager.participants.close(claims, connection_id=connection_id)

    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.patch(claims, connection_id=connection_id, fragment="f", ice_session=None)


async def test_an_events_websocket_is_not_remembered(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "W")
    connection_id = await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)
    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)

    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.close(claims, connection_id=connection_id)


def test_a_bounded_number_of_connections_is_remembered_and_the_oldest_is_forgotten() -> None:
    registry = SessionRegistry()
    for number in range(ENDED_ROUTES + 10):
        registry.routes[str(number)] = Route(stage_arn="s", participant_id="p", kind=ConnectionKind.PUBLISH)
        registry.close_route(str(number))
    registry.close_route("unknown")
    assert list(registry.ended) == [str(number) for number in range(10, ENDED_ROUTES + 10)]
    assert registry.routes == {}
