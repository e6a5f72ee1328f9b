"""Connection tokens: when they are accepted, and what their revocation ends."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.resources import Capability
from tests.executed_lines import counted_lines
from tests.manager.manager_harness import ACCOUNT, CLIENT, ManagerHarness, SettableClock, Watcher, running_manager
from tests.manager.own_tokens import OwnTokens, own_tokens

BOTH = (Capability.PUBLISH, Capability.SUBSCRIBE)


@pytest.fixture
async def own(harness: ManagerHarness) -> OwnTokens:
    return await own_tokens(harness)


def admit(own: OwnTokens, participant_id: str, connection_token: str | None) -> Claims:
    token = own.token(own.claims(participant_id, *BOTH))
    return own.harness.admit(token, connection_token=connection_token)


async def revoke(harness: ManagerHarness, token_id: str, *, account_id: str = ACCOUNT) -> None:
    await harness.manager.connection_tokens.revoke(account_id=account_id, token_id=token_id)


def refusal(own: OwnTokens, connection_token: str | None) -> TokenRefusal:
    with pytest.raises(TokenRefusedError) as caught:
        admit(own, "A", connection_token)
    assert "connection token" in str(caught.value)
    return caught.value.refusal


async def test_a_connection_token_accompanies_a_participant_token(own: OwnTokens) -> None:
    assert admit(own, "A", own.connection_token("one")).connection_token_id == "one"
    assert admit(own, "A", None).connection_token_id is None


async def test_a_connection_token_alone_is_admitted_until_it_is_revoked(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    token = own.connection_token("one")
    admit_connection = harness.manager.participants.admit_connection
    assert admit_connection(token).token_id == "one"
    await revoke(harness, "one", account_id="210987654321")
    assert admit_connection(token).token_id == "one"
    await revoke(harness, "one")
    with pytest.raises(TokenRefusedError) as caught:
        admit_connection(token)
    assert caught.value.refusal is TokenRefusal.CONNECTION_TOKEN
    with pytest.raises(TokenRefusedError):
        admit_connection("unknown")


async def test_an_invalid_connection_token_is_refused(harness: ManagerHarness, own: OwnTokens) -> None:
    expired = own.connection_token("old", expires_at_seconds=harness.clock.ms // 1_000)
    other_account = own.connection_token("other account", account_id="210987654321")
    other_region = own.connection_token("other region", region="eu-west-1")
    for token in ("unknown", expired, other_account, other_region):
        assert refusal(own, token) is TokenRefusal.CONNECTION_TOKEN


async def test_a_revoked_connection_token_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    clock = SettableClock()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        own = await own_tokens(harness)
        await revoke(harness, "one")
        await revoke(harness, "one")
        assert refusal(own, own.connection_token("one")) is TokenRefusal.CONNECTION_TOKEN
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        again = OwnTokens(harness, own.stage, own.key)
        assert refusal(again, again.connection_token("one")) is TokenRefusal.CONNECTION_TOKEN
        assert admit(again, "A", again.connection_token("two")).connection_token_id == "two"


async def test_a_connection_token_is_refused_before_its_revocation_is_durable(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    token = own.connection_token("one")
    revoking = asyncio.create_task(revoke(harness, "one"))
    await asyncio.sleep(0)
    assert refusal(own, token) is TokenRefusal.CONNECTION_TOKEN
    await revoking


async def test_a_revocation_of_another_account_has_no_effect(harness: ManagerHarness, own: OwnTokens) -> None:
    claims = admit(own, "A", own.connection_token("one"))
    await harness.publish(claims)
    await revoke(harness, "one", account_id="210987654321")
    assert await harness.events(own.stage, "A") == ["JOINED", "PUBLISH_STARTED"]
    admit(own, "A", "one")


async def test_a_revocation_ends_all_connections_of_its_participants(harness: ManagerHarness, own: OwnTokens) -> None:
    elsewhere = await own_tokens(harness)
    token = own.connection_token("one")
    watcher = Watcher()
    await harness.publish(admit(own, "P", None))
    claims = admit(own, "A", token)
    await harness.manager.participants.open_events(admit(own, "A", None), watcher=watcher, client=CLIENT)
    await harness.publish(claims)
    await harness.subscribe(claims, "P")
    await harness.subscribe(admit(own, "V", None), "A")
    await harness.publish(admit(elsewhere, "E", token))
    await revoke(harness, "one")
    assert await harness.events(own.stage, "A") == [
        "JOINED",
        "PUBLISH_STARTED",
        "SUBSCRIBE_STARTED(P)",
        "PUBLISH_STOPPED",
        "SUBSCRIBE_STOPPED(P)",
        "LEFT",
    ]
    assert await harness.events(own.stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(A)", "SUBSCRIBE_STOPPED(A)", "LEFT"]
    assert await harness.events(elsewhere.stage, "E") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await harness.events(own.stage, "P") == ["JOINED", "PUBLISH_STARTED"]
    assert watcher.farewells == [(FarewellReason.CONNECTION_TOKEN_REVOKED, "")]
    recorded = harness.book.list_events(own.stage.arn, harness.session_id(own.stage), "A")
    assert {entry.event.cause for entry in recorded[3:]} == {Cause.CONNECTION_TOKEN_REVOKED}


async def test_a_publisher_and_its_viewer_with_one_connection_token_leave_once(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    token = own.connection_token("one")
    await harness.publish(admit(own, "A", token))
    await harness.subscribe(admit(own, "B", token), "A")
    await revoke(harness, "one")
    assert await harness.events(own.stage, "B") == ["JOINED", "SUBSCRIBE_STARTED(A)", "SUBSCRIBE_STOPPED(A)", "LEFT"]
    assert await harness.events(own.stage, "A") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


async def refused_attempt(attempt: Awaitable[object]) -> TokenRefusal:
    with pytest.raises(TokenRefusedError) as caught:
        await attempt
    return caught.value.refusal


async def test_a_participant_that_used_only_the_connection_token_needs_another_one(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    watcher = Watcher()
    opening = harness.manager.participants.open_events
    await opening(admit(own, "A", own.connection_token("one")), watcher=watcher, client=CLIENT)
    alone = admit(own, "A", None)
    await harness.publish(alone)
    await revoke(harness, "one")
    assert (await harness.events(own.stage, "A"))[-2:] == ["PUBLISH_STOPPED", "LEFT"]
    assert await refused_attempt(harness.publish(alone)) is TokenRefusal.CONNECTION_TOKEN
    assert await refused_attempt(harness.subscribe(alone, "P")) is TokenRefusal.CONNECTION_TOKEN
    assert await refused_attempt(opening(alone, watcher=Watcher(), client=CLIENT)) is TokenRefusal.CONNECTION_TOKEN
    await opening(admit(own, "A", own.connection_token("two")), watcher=Watcher(), client=CLIENT)
    await harness.publish(alone)
    assert (await harness.events(own.stage, "A"))[-2:] == ["JOINED", "PUBLISH_STARTED"]
    await revoke(harness, "two")
    assert (await harness.events(own.stage, "A"))[-2:] == ["PUBLISH_STOPPED", "LEFT"]


async def test_a_participant_is_refused_without_one_also_after_a_restart(tmp_path: Path) -> None:
    clock = SettableClock()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        own = await own_tokens(harness)
        await harness.publish(admit(own, "A", own.connection_token("one")))
        await revoke(harness, "one")
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        again = OwnTokens(harness, own.stage, own.key)
        assert refusal(again, None) is TokenRefusal.CONNECTION_TOKEN
        await harness.publish(admit(again, "B", None))


async def test_a_participant_is_refused_without_one_before_the_revocation_is_durable(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    await harness.publish(admit(own, "A", own.connection_token("one")))
    revoking = asyncio.create_task(revoke(harness, "one"))
    await asyncio.sleep(0)
    assert refusal(own, None) is TokenRefusal.CONNECTION_TOKEN
    await revoking


async def test_a_participant_that_also_connected_without_one_goes_on_without_it(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    opening = harness.manager.participants.open_events
    await opening(admit(own, "A", None), watcher=Watcher(), client=CLIENT)
    await harness.publish(admit(own, "A", own.connection_token("one")))
    await revoke(harness, "one")
    await harness.publish(admit(own, "A", None))
    assert (await harness.events(own.stage, "A"))[-2:] == ["JOINED", "PUBLISH_STARTED"]


async def test_a_participant_that_needs_one_can_exchange_its_token(harness: ManagerHarness, own: OwnTokens) -> None:
    opening = harness.manager.participants.open_events
    await harness.publish(admit(own, "A", own.connection_token("one")))
    await revoke(harness, "one")
    connection_id = await opening(admit(own, "A", own.connection_token("two")), watcher=Watcher(), client=CLIENT)
    token = own.token(own.claims("A", *BOTH, user_id="grace"))
    await harness.manager.participants.exchange_token(connection_id=connection_id, token=token)
    assert (await harness.events(own.stage, "A"))[-1] == "TOKEN_EXCHANGED"


async def test_an_offer_is_refused_if_its_connection_token_is_revoked_while_the_engine_answers(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    claims = admit(own, "A", own.connection_token("one"))
    harness.engine.hold = asyncio.Event()
    publishing = asyncio.create_task(harness.publish(claims))
    await harness.engine.held.wait()
    await revoke(harness, "one")
    harness.engine.hold.set()
    with pytest.raises(TokenRefusedError) as caught:
        await publishing
    assert caught.value.refusal is TokenRefusal.CONNECTION_TOKEN
    assert harness.book.list_sessions(own.stage.arn, after=None, limit=1).items == []
    assert len(harness.engine.closed) == 1


async def lines_of_revocation(path: Path, *, stages: int) -> int:
    """Return how many lines the revocation of a token executes that is in use on so many stages."""
    async with running_manager(path) as harness:
        for _ in range(stages):
            claims = harness.claims(await harness.stage(), "A")
            await harness.publish(replace(claims, connection_token_id="one"))
        with counted_lines() as count:
            await revoke(harness, "one")
        return count.lines


async def test_a_revocation_costs_in_proportion_to_the_stages(tmp_path: Path) -> None:
    few = await lines_of_revocation(tmp_path / "few", stages=40)
    many = await lines_of_revocation(tmp_path / "many", stages=120)
    assert many < 3.2 * few
