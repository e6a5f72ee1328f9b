"""The service of participants and token exchange: accepted tokens, ended connections, and the recorded event."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.book.book_values import RecordedEvent
from stagebook.manager.presence.watchers import StageSnapshot
from stagebook.media.port import CloseCause
from stagebook.stage.claims import Claims
from stagebook.stage.errors import (
    AttemptRefusedError,
    ConnectionNotFoundError,
    ExchangeRefusedError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import Cause, ErrorCode, ExchangedToken
from stagebook.stage.resources import Capability, ParticipantRecord, ParticipantState
from tests.manager.manager_harness import CLIENT, ManagerHarness, SettableClock, Watcher, running_manager
from tests.manager.own_tokens import OwnTokens, own_tokens

PUBLISH, SUBSCRIBE = Capability.PUBLISH, Capability.SUBSCRIBE


@pytest.fixture
async def own(harness: ManagerHarness) -> OwnTokens:
    return await own_tokens(harness)


class UserIdWatcher(Watcher):
    """A watcher with an event that is set when a snapshot shows a user id."""

    def __init__(self, *, user_id: str) -> None:
        super().__init__()
        self.user_id = user_id
        self.seen = asyncio.Event()

    def show(self, snapshot: StageSnapshot) -> None:
        super().show(snapshot)
        if any(participant.user_id == self.user_id for participant in snapshot.participants):
            self.seen.set()


async def on_stage(own: OwnTokens, claims: Claims, watcher: Watcher | None = None) -> str:
    """Open an events websocket; return its connection id."""
    return await own.harness.manager.participants.open_events(claims, watcher=watcher or Watcher(), client=CLIENT)


async def exchange(own: OwnTokens, connection_id: str, claims: Claims) -> Claims:
    return await own.harness.manager.participants.exchange_token(connection_id=connection_id, token=own.token(claims))


def row(own: OwnTokens, participant_id: str) -> ParticipantRecord:
    record = own.harness.book.get_participant(own.stage.arn, own.harness.session_id(own.stage), participant_id)
    assert record is not None
    return record


def recorded(own: OwnTokens, participant_id: str) -> list[RecordedEvent]:
    return own.harness.book.list_events(own.stage.arn, own.harness.session_id(own.stage), participant_id)


async def test_the_event_has_both_tokens_and_the_row_has_the_new_one(own: OwnTokens) -> None:
    connection_id = await on_stage(own, own.claims("A", SUBSCRIBE, user_id="viewer"))
    new = own.claims("A", PUBLISH, SUBSCRIBE, user_id="moderator", expires_at_seconds=1_700_009_000)
    assert await exchange(own, connection_id, new) == new
    (event,) = [entry.event for entry in recorded(own, "A") if entry.event.exchange]
    assert event.exchange is not None
    assert event.exchange.previous == ExchangedToken(
        capabilities=("SUBSCRIBE",), attributes={"role": "viewer"}, user_id="viewer", expiration_ms=1_700_003_600_000
    )
    assert event.exchange.new == ExchangedToken(
        capabilities=("PUBLISH", "SUBSCRIBE"),
        attributes={"role": "moderator"},
        user_id="moderator",
        expiration_ms=1_700_009_000_000,
    )
    assert (row(own, "A").user_id, row(own, "A").attributes) == ("moderator", {"role": "moderator"})
    assert row(own, "A").state is ParticipantState.CONNECTED


async def test_the_watchers_are_shown_the_new_user_id_and_attributes(own: OwnTokens) -> None:
    watcher = UserIdWatcher(user_id="moderator")
    await on_stage(own, own.claims("B"), watcher)
    connection_id = await on_stage(own, own.claims("A", user_id="viewer"))
    await exchange(own, connection_id, own.claims("A", user_id="moderator"))
    async with asyncio.timeout(10):
        await watcher.seen.wait()
    assert watcher.snapshots[-1].participants[-1].attributes == {"role": "moderator"}


async def test_a_gained_capability_counts_at_once(harness: ManagerHarness, own: OwnTokens) -> None:
    viewer, host = own.claims("A", SUBSCRIBE), own.claims("A", PUBLISH, SUBSCRIBE)
    connection_id = await on_stage(own, viewer)
    with pytest.raises(AttemptRefusedError):
        await harness.publish(viewer)
    await exchange(own, connection_id, host)
    await harness.publish(host)
    assert await harness.events(own.stage, "A") == [
        "JOINED",
        "PUBLISH_ERROR:INSUFFICIENT_CAPABILITIES",
        "TOKEN_EXCHANGED",
        "PUBLISH_STARTED",
    ]


async def test_losing_publish_ends_the_publication_and_its_viewers(harness: ManagerHarness, own: OwnTokens) -> None:
    host = own.claims("A", PUBLISH, SUBSCRIBE)
    connection_id = await on_stage(own, host)
    publication_id = await harness.publish(host)
    await harness.subscribe(own.claims("V", SUBSCRIBE), "A")
    await exchange(own, connection_id, own.claims("A", SUBSCRIBE))
    assert await harness.events(own.stage, "A") == ["JOINED", "PUBLISH_STARTED", "TOKEN_EXCHANGED", "PUBLISH_STOPPED"]
    assert await harness.events(own.stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(A)", "SUBSCRIBE_STOPPED(A)", "LEFT"]
    assert harness.engine.ended_sources == [harness.engine.connections[publication_id]]
    assert [entry.event.cause for entry in recorded(own, "A")][-2:] == [Cause.CLIENT, Cause.TOKEN_EXCHANGED]
    assert recorded(own, "A")[-1].time_ms == recorded(own, "A")[-2].time_ms
    with pytest.raises(AttemptRefusedError):
        await harness.publish(own.claims("A", SUBSCRIBE))


async def test_losing_subscribe_ends_the_subscriptions(harness: ManagerHarness, own: OwnTokens) -> None:
    await harness.publish(own.claims("P", PUBLISH))
    viewer = own.claims("A", PUBLISH, SUBSCRIBE)
    connection_id = await on_stage(own, viewer)
    watched = await harness.subscribe(viewer, "P")
    waiting = await harness.subscribe(viewer, "P", connect=False)
    await harness.publish(viewer)
    await exchange(own, connection_id, own.claims("A", PUBLISH))
    assert await harness.events(own.stage, "A") == [
        "JOINED",
        "SUBSCRIBE_STARTED(P)",
        "PUBLISH_STARTED",
        "TOKEN_EXCHANGED",
        "SUBSCRIBE_STOPPED(P)",
    ]
    assert sorted(harness.engine.closed) == sorted([watched, waiting])
    harness.engine.lose(waiting, CloseCause.PEER_CLOSED)
    assert (await harness.events(own.stage, "A"))[-1] == "SUBSCRIBE_STOPPED(P)"


async def test_a_participant_that_watches_itself_loses_both_in_one_action(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    both = own.claims("A", PUBLISH, SUBSCRIBE)
    connection_id = await on_stage(own, both)
    await harness.publish(both)
    await harness.subscribe(both, "A")
    await exchange(own, connection_id, own.claims("A"))
    assert (await harness.events(own.stage, "A"))[-3:] == [
        "TOKEN_EXCHANGED",
        "PUBLISH_STOPPED",
        "SUBSCRIBE_STOPPED(A)",
    ]


async def test_an_exchanged_token_grants_no_more_than_the_newest(harness: ManagerHarness, own: OwnTokens) -> None:
    host, viewer, no_rights = own.claims("A", PUBLISH), own.claims("A", SUBSCRIBE), own.claims("A")
    connection_id = await on_stage(own, host)
    for claims in (viewer, no_rights):
        await exchange(own, connection_id, claims)
    for claims in (host, viewer, no_rights):
        with pytest.raises(AttemptRefusedError) as caught:
            await harness.publish(claims)
        assert caught.value.code is ErrorCode.INSUFFICIENT_CAPABILITIES
    await exchange(own, connection_id, own.claims("A", PUBLISH, user_id="again"))
    await harness.publish(no_rights)


async def test_a_participant_that_left_can_return_with_each_of_its_tokens(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    host = own.claims("A", PUBLISH)
    connection_id = await on_stage(own, host)
    await exchange(own, connection_id, own.claims("A"))
    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)
    await harness.settled()
    await harness.publish(host)
    assert (await harness.events(own.stage, "A"))[-2:] == ["JOINED", "PUBLISH_STARTED"]
    assert row(own, "A").user_id == "ada"


async def test_a_capability_that_is_lost_while_the_engine_answers_refuses_the_offer(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    host = own.claims("A", PUBLISH)
    connection_id = await on_stage(own, host)
    harness.engine.hold = asyncio.Event()
    publishing = asyncio.create_task(harness.publish(host))
    await asyncio.sleep(0)
    await exchange(own, connection_id, own.claims("A"))
    harness.engine.hold.set()
    with pytest.raises(AttemptRefusedError):
        await publishing
    assert await harness.events(own.stage, "A") == [
        "JOINED",
        "TOKEN_EXCHANGED",
        "PUBLISH_ERROR:INSUFFICIENT_CAPABILITIES",
    ]
    assert len(harness.engine.closed) == 1


async def test_a_token_with_equal_claims_makes_no_event(harness: ManagerHarness, own: OwnTokens) -> None:
    claims = own.claims("A", PUBLISH)
    connection_id = await on_stage(own, claims)
    assert await exchange(own, connection_id, claims) == claims
    assert await harness.events(own.stage, "A") == ["JOINED"]


async def test_only_a_token_of_the_same_participant_and_stage_is_accepted(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    connection_id = await on_stage(own, own.claims("A", PUBLISH))
    elsewhere = await harness.stage("elsewhere")
    for claims in (own.claims("B", PUBLISH), own.claims("A", stage_arn=elsewhere.arn)):
        with pytest.raises(ExchangeRefusedError):
            await exchange(own, connection_id, claims)
    assert await harness.events(own.stage, "A") == ["JOINED"]


async def test_minted_tokens_are_not_exchanged_on_either_side(harness: ManagerHarness, own: OwnTokens) -> None:
    minted = harness.claims(own.stage, "M")
    connection_id = await on_stage(own, minted)
    with pytest.raises(ExchangeRefusedError):
        await exchange(own, connection_id, own.claims("M"))
    connection_id = await on_stage(own, own.claims("A"))
    with pytest.raises(ExchangeRefusedError):
        await exchange(own, connection_id, replace(own.claims("A"), key_arn=None))
    assert await harness.events(own.stage, "M") == ["JOINED"]


async def test_the_new_token_must_be_valid(harness: ManagerHarness, own: OwnTokens) -> None:
    connection_id = await on_stage(own, own.claims("A"))
    for claims, refusal in (
        (own.claims("A", PUBLISH, expires_at_seconds=harness.clock.ms // 1_000), TokenRefusal.EXPIRED),
        (own.claims("A", PUBLISH, key_arn=own.key.arn[:-1] + "_"), TokenRefusal.SIGNATURE),
        (own.claims("A", PUBLISH, stage_arn=own.stage.arn[:-1] + "_"), TokenRefusal.STAGE_DELETED),
    ):
        with pytest.raises(TokenRefusedError) as caught:
            await exchange(own, connection_id, claims)
        assert caught.value.refusal is refusal


async def test_the_new_token_may_be_signed_with_another_key(harness: ManagerHarness, own: OwnTokens) -> None:
    connection_id = await on_stage(own, own.claims("A"))
    other = await own_tokens(harness, own.stage)
    await exchange(other, connection_id, other.claims("A", PUBLISH))
    await harness.manager.public_keys.delete(arn=own.key.arn)
    await harness.publish(other.claims("A", PUBLISH))
    assert await harness.events(own.stage, "A") == ["JOINED", "TOKEN_EXCHANGED", "PUBLISH_STARTED"]


async def test_a_closed_connection_cannot_exchange_a_token(own: OwnTokens) -> None:
    connection_id = await on_stage(own, own.claims("A"))
    await own.harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)
    with pytest.raises(ConnectionNotFoundError):
        await exchange(own, connection_id, own.claims("A", PUBLISH))


async def test_recovery_closes_what_the_exchange_left_open(tmp_path: Path) -> None:
    clock = SettableClock()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        own = await own_tokens(harness)
        await harness.publish(own.claims("P", PUBLISH))
        both = own.claims("A", PUBLISH, SUBSCRIBE)
        connection_id = await on_stage(own, both)
        await harness.publish(both)
        await harness.subscribe(both, "P")
        await exchange(own, connection_id, own.claims("A", SUBSCRIBE, user_id="moderator"))
        await harness.settled()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        assert (await harness.events(own.stage, "A"))[3:] == [
            "TOKEN_EXCHANGED",
            "PUBLISH_STOPPED",
            "SUBSCRIBE_STOPPED(P)",
            "LEFT",
        ]
        record = harness.book.get_participant(own.stage.arn, harness.session_id(own.stage), "A")
        assert record is not None
        assert (record.user_id, record.state) == ("moderator", ParticipantState.DISCONNECTED)
