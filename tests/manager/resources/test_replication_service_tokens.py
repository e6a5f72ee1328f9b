"""Replications whose publisher exchanges its token or loses its connection token."""

import pytest

from stagebook.stage.events import Cause
from stagebook.stage.resources import Capability
from tests.manager.manager_harness import ACCOUNT, CLIENT, ManagerHarness, Watcher
from tests.manager.own_tokens import OwnTokens, own_tokens
from tests.manager.replicated_pair import REPLICA_ENDED, REPLICA_PAUSED, REPLICA_PUBLISHED, REPLICATED, WATCHED, Pair

PUBLISH, SUBSCRIBE = Capability.PUBLISH, Capability.SUBSCRIBE


@pytest.fixture
async def own(harness: ManagerHarness) -> OwnTokens:
    return await own_tokens(harness, await harness.stage("here"))


async def publish(own: OwnTokens) -> Pair:
    """Let P publish with a self-signed token."""
    publication = await own.harness.publish(own.claims("P", PUBLISH))
    return Pair(
        harness=own.harness, source=own.stage, destination=await own.harness.stage("there"), publication=publication
    )


async def exchange(own: OwnTokens, *capabilities: Capability, user_id: str = "ada") -> None:
    """Let P open an events websocket and exchange its token over it."""
    present = own.claims("P", PUBLISH)
    connection_id = await own.harness.manager.participants.open_events(present, watcher=Watcher(), client=CLIENT)
    token = own.token(own.claims("P", *capabilities, user_id=user_id))
    await own.harness.manager.participants.exchange_token(connection_id=connection_id, token=token)


async def test_losing_publish_ends_a_replication_without_a_window(own: OwnTokens) -> None:
    pair = await publish(own)
    await pair.start()
    await pair.watch()

    await exchange(own, SUBSCRIBE)

    assert await pair.events(pair.source) == [
        *REPLICATED,
        "TOKEN_EXCHANGED",
        "PUBLISH_STOPPED",
        "REPLICATION_STOPPED>destination",
    ]
    assert await pair.events(pair.destination) == REPLICA_ENDED
    assert await pair.events(pair.destination, "V") == WATCHED
    assert await pair.causes(pair.destination, 2) == {Cause.TOKEN_EXCHANGED}
    assert await pair.states() == ["STOPPED"]


async def test_a_replication_with_a_window_waits_after_publish_is_lost(own: OwnTokens) -> None:
    pair = await publish(own)
    await pair.start(window_seconds=30)

    await exchange(own, SUBSCRIBE)

    assert await pair.events(pair.source) == [*REPLICATED, "TOKEN_EXCHANGED", "PUBLISH_STOPPED"]
    assert await pair.events(pair.destination) == REPLICA_PAUSED


async def test_an_exchange_that_keeps_publish_does_not_change_the_replica(own: OwnTokens) -> None:
    pair = await publish(own)
    await pair.start(role="guest")

    await exchange(own, PUBLISH, SUBSCRIBE, user_id="moderator")

    assert await pair.events(pair.destination) == REPLICA_PUBLISHED
    source, replica = await pair.row(pair.source), await pair.row(pair.destination)
    assert (source.user_id, replica.user_id) == ("moderator", "ada")
    assert replica.attributes == {"role": "guest"}


async def test_a_revoked_connection_token_ends_the_publication_and_pauses_the_replica(own: OwnTokens) -> None:
    harness = own.harness
    token = own.token(own.claims("P", PUBLISH))
    claims = harness.admit(token, connection_token=own.connection_token("one"))
    publication = await harness.publish(claims)
    pair = Pair(harness=harness, source=own.stage, destination=await harness.stage("there"), publication=publication)
    await pair.start(window_seconds=30)

    await harness.manager.connection_tokens.revoke(account_id=ACCOUNT, token_id="one")

    assert await pair.events(pair.source) == [*REPLICATED, "PUBLISH_STOPPED", "LEFT"]
    assert await pair.events(pair.destination) == REPLICA_PAUSED
