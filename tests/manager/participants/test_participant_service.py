"""The service of participants: offers to publish and to subscribe, their refusals, and patches."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from stagebook.media.port import RefusalReason
from stagebook.stage.errors import (
    AttemptRefusedError,
    ConnectionNotFoundError,
    IceSessionMismatchError,
    OfferMalformedError,
    ServerBusyError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import ErrorCode
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Capability, ParticipantProtocol, ParticipantState
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher, running_manager, until
from tests.manager.replicated_pair import make_pair


async def test_a_publisher_and_a_viewer_join_and_leave(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    publication = await harness.publish(harness.claims(stage, "P"))
    subscription = await harness.subscribe(harness.claims(stage, "V"), "P")

    await harness.manager.participants.close(harness.claims(stage, "V"), connection_id=subscription)
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=publication)

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]


async def test_the_answer_is_given_after_the_join_is_durable(harness: ManagerHarness) -> None:
    stage = await harness.stage()

    await harness.publish(harness.claims(stage, "P"), connect=False)

    session_id = harness.session_id(stage)
    record = harness.book.get_participant(stage.arn, session_id, "P")
    assert record is not None
    assert record.state is ParticipantState.CONNECTED
    assert record.first_join_ms == harness.clock.ms
    assert record.client == CLIENT
    assert len(harness.book.list_events(stage.arn, session_id, "P")) == 1


async def test_published_and_protocol_count_from_the_first_flowing_media(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.publish(harness.claims(stage, "P"), connect=False)
    before = harness.book.get_participant(stage.arn, harness.session_id(stage), "P")

    harness.engine.connect(connection_id)
    await harness.settled()

    after = harness.book.get_participant(stage.arn, harness.session_id(stage), "P")
    assert before is not None
    assert after is not None
    assert (before.published, before.protocol) == (False, ParticipantProtocol.UNKNOWN)
    assert (after.published, after.protocol) == (True, ParticipantProtocol.WHIP)


async def test_publishing_without_the_capability(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P", Capability.SUBSCRIBE)

    with pytest.raises(AttemptRefusedError) as refusal:
        await harness.publish(claims)

    assert refusal.value.code is ErrorCode.INSUFFICIENT_CAPABILITIES
    assert await harness.events(stage, "P") == ["PUBLISH_ERROR:INSUFFICIENT_CAPABILITIES"]


async def test_a_joined_participant_without_the_capability_stays_joined(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P", Capability.SUBSCRIBE)
    await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)

    with pytest.raises(AttemptRefusedError):
        await harness.publish(claims)

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_ERROR:INSUFFICIENT_CAPABILITIES"]


async def test_subscribing_without_the_capability(harness: ManagerHarness) -> None:
    stage = await harness.stage()

    with pytest.raises(AttemptRefusedError):
        await harness.subscribe(harness.claims(stage, "V", Capability.PUBLISH), "P")

    assert await harness.events(stage, "V") == ["SUBSCRIBE_ERROR:INSUFFICIENT_CAPABILITIES(P)"]


async def test_subscribing_to_an_unknown_publisher(harness: ManagerHarness) -> None:
    stage = await harness.stage()

    with pytest.raises(AttemptRefusedError) as refusal:
        await harness.subscribe(harness.claims(stage, "V"), "X")

    assert refusal.value.code is ErrorCode.PUBLISHER_NOT_FOUND
    assert await harness.events(stage, "V") == ["SUBSCRIBE_ERROR:PUBLISHER_NOT_FOUND(X)"]


async def test_a_publisher_of_another_stage_is_not_found(harness: ManagerHarness) -> None:
    stage, other = await harness.stage(), await harness.stage()
    await harness.publish(harness.claims(other, "P"))

    with pytest.raises(AttemptRefusedError):
        await harness.subscribe(harness.claims(stage, "V"), "P")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (RefusalReason.AUDIO_CODEC, "INVALID_AUDIO_CODEC"),
        (RefusalReason.VIDEO_CODEC, "INVALID_VIDEO_CODEC"),
        (RefusalReason.ENGINE_LOST, "INTERNAL_SERVER_EXCEPTION"),
    ],
)
async def test_an_offer_that_the_engine_refuses_is_a_publish_error(
    harness: ManagerHarness, reason: RefusalReason, code: str
) -> None:
    stage = await harness.stage()
    harness.engine.refuse = reason

    with pytest.raises(AttemptRefusedError):
        await harness.publish(harness.claims(stage, "P"))

    assert await harness.events(stage, "P") == [f"PUBLISH_ERROR:{code}"]


@pytest.mark.parametrize(
    ("reason", "error"), [(RefusalReason.MALFORMED, OfferMalformedError), (RefusalReason.BUSY, ServerBusyError)]
)
async def test_a_malformed_offer_and_a_busy_engine_make_no_event(
    harness: ManagerHarness, reason: RefusalReason, error: type[Exception]
) -> None:
    stage = await harness.stage()
    harness.engine.refuse = reason

    with pytest.raises(error):
        await harness.publish(harness.claims(stage, "P"))

    assert harness.book.list_sessions(stage.arn, after=None, limit=1).items == []


async def test_publishers_have_a_quota(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, publishers_per_stage=2)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "A"))
        second = await harness.publish(harness.claims(stage, "B"))

        with pytest.raises(AttemptRefusedError) as refusal:
            await harness.publish(harness.claims(stage, "C"))
        await harness.manager.participants.close(harness.claims(stage, "B"), connection_id=second)
        await harness.publish(harness.claims(stage, "C"))

        assert refusal.value.code is ErrorCode.QUOTA_EXCEEDED
        assert await harness.events(stage, "C") == ["PUBLISH_ERROR:QUOTA_EXCEEDED", "JOINED", "PUBLISH_STARTED"]


async def test_two_offers_at_once_cannot_both_take_the_last_place(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, publishers_per_stage=1)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        harness.engine.hold = asyncio.Event()
        offers = [asyncio.create_task(harness.publish(harness.claims(stage, name))) for name in "AB"]
        await asyncio.sleep(0)
        harness.engine.hold.set()

        results = await asyncio.gather(*offers, return_exceptions=True)

        assert [isinstance(result, AttemptRefusedError) for result in results] == [False, True]
        assert len(harness.engine.connections) == 1


async def test_a_full_stage_is_a_join_error(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, participants_per_stage=1)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        await harness.manager.participants.open_events(harness.claims(stage, "A"), watcher=Watcher(), client=CLIENT)

        with pytest.raises(AttemptRefusedError):
            await harness.manager.participants.open_events(harness.claims(stage, "B"), watcher=Watcher(), client=CLIENT)

        assert await harness.events(stage, "B") == ["JOIN_ERROR:QUOTA_EXCEEDED"]
        await harness.publish(harness.claims(stage, "A"))


async def test_subscriptions_have_a_quota(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, subscribers_per_stage=1)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "P"))
        await harness.subscribe(harness.claims(stage, "A"), "P")

        with pytest.raises(AttemptRefusedError):
            await harness.subscribe(harness.claims(stage, "B"), "P")

        assert await harness.events(stage, "B") == ["SUBSCRIBE_ERROR:QUOTA_EXCEEDED(P)"]


async def test_the_connections_of_a_participant_have_a_quota(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, connections_per_participant=1)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "P"))

        with pytest.raises(AttemptRefusedError):
            await harness.subscribe(harness.claims(stage, "P"), "P")

        await harness.publish(harness.claims(stage, "P"))


async def test_a_publisher_that_reconnects_keeps_its_viewers_and_its_source(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    former = await harness.publish(harness.claims(stage, "P"))
    await harness.subscribe(harness.claims(stage, "V"), "P")

    current = await harness.publish(harness.claims(stage, "P"))
    harness.engine.lose(former)

    assert harness.engine.connections[former] == harness.engine.connections[current]
    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]
    assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)"]
    harness.engine.lose(current)
    assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]


async def test_a_publisher_that_publishes_again_has_a_new_source(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    first = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=first)

    second = await harness.publish(harness.claims(stage, "P"))

    assert harness.engine.connections[first] != harness.engine.connections[second]
    assert harness.engine.ended_sources == [harness.engine.connections[first]]


async def test_a_participant_can_watch_itself_and_leave(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.publish(harness.claims(stage, "P"))
    await harness.subscribe(harness.claims(stage, "P"), "P")

    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)

    assert await harness.events(stage, "P") == [
        "JOINED",
        "PUBLISH_STARTED",
        "SUBSCRIBE_STARTED(P)",
        "PUBLISH_STOPPED",
        "SUBSCRIBE_STOPPED(P)",
        "LEFT",
    ]


async def test_an_offer_is_refused_if_its_stage_is_deleted_while_the_engine_answers(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    harness.engine.hold = asyncio.Event()
    offer = asyncio.create_task(harness.publish(harness.claims(stage, "P")))
    await harness.engine.held.wait()
    await harness.manager.stages.delete(stage_arn=stage.arn)

    harness.engine.hold.set()

    with pytest.raises(TokenRefusedError) as refusal:
        await offer
    assert refusal.value.refusal is TokenRefusal.STAGE_DELETED
    assert len(harness.engine.closed) == 1


async def test_a_publisher_that_is_lost_while_the_engine_answers_keeps_its_source(
    harness: ManagerHarness,
) -> None:
    stage = await harness.stage()
    former = await harness.publish(harness.claims(stage, "P"))
    await harness.subscribe(harness.claims(stage, "V"), "P")
    harness.engine.hold = asyncio.Event()
    offer = asyncio.create_task(harness.publish(harness.claims(stage, "P")))
    await asyncio.sleep(0)
    harness.engine.lose(former)

    harness.engine.hold.set()
    current = await offer

    assert harness.engine.connections[former] == harness.engine.connections[current]
    assert await harness.events(stage, "P") == [
        *("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"),
        *("JOINED", "PUBLISH_STARTED"),
    ]
    assert (await harness.events(stage, "V"))[2:] == ["SUBSCRIBE_STOPPED(P)", "LEFT"]
    assert harness.engine.ended_sources == []
    await harness.subscribe(harness.claims(stage, "W"), "P")
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=current)
    await harness.settled()
    assert harness.engine.ended_sources == [harness.engine.connections[current]]


async def test_an_offer_that_is_cancelled_leaves_no_source_in_the_engine(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    harness.engine.hold = asyncio.Event()
    offer = asyncio.create_task(harness.publish(harness.claims(stage, "P")))
    await asyncio.sleep(0)
    await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="")

    harness.engine.hold.set()

    with pytest.raises(TokenRefusedError):
        await offer
    assert harness.engine.ended_sources == list(harness.engine.connections.values())


async def test_a_publisher_that_stops_while_the_engine_answers_its_viewer_is_not_found(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    publication = await harness.publish(harness.claims(stage, "P"))
    harness.engine.hold = asyncio.Event()
    offer = asyncio.create_task(harness.subscribe(harness.claims(stage, "V"), "P"))
    await asyncio.sleep(0)
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=publication)

    harness.engine.hold.set()

    with pytest.raises(AttemptRefusedError):
        await offer
    assert await harness.events(stage, "V") == ["SUBSCRIBE_ERROR:PUBLISHER_NOT_FOUND(P)"]


async def test_only_its_own_participant_can_close_and_patch_a_connection(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.publish(harness.claims(stage, "P"))

    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.close(harness.claims(stage, "Q"), connection_id=connection_id)
    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.patch(
            harness.claims(stage, "Q"), connection_id=connection_id, fragment="f", ice_session=None
        )


async def test_a_websocket_and_a_replica_cannot_be_closed_as_media_connections(harness: ManagerHarness) -> None:
    pair = await make_pair(harness)
    claims = harness.claims(pair.destination, "W")
    websocket = await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)
    await pair.start()
    replica = harness.manager._unit.registry.sessions[pair.destination.arn].participants["P"].machine.replica_id
    assert replica is not None

    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.close(claims, connection_id=websocket)
    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.close(harness.claims(pair.destination, "P"), connection_id=replica)


async def test_the_engine_answers_a_patch_and_its_refusals_are_mapped(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P")
    connection_id = await harness.publish(claims)
    patch = harness.manager.participants.patch

    answer = await patch(claims, connection_id=connection_id, fragment="a=candidate", ice_session="ice-1")

    assert answer.fragment is None
    with pytest.raises(IceSessionMismatchError):
        await patch(claims, connection_id=connection_id, fragment="a=candidate", ice_session="old")
    with pytest.raises(OfferMalformedError):
        await patch(claims, connection_id=connection_id, fragment="", ice_session=None)


async def test_an_events_websocket_whose_request_is_cancelled_ends(harness: ManagerHarness) -> None:
    """The caller never learns the connection's id, so nobody else would end it."""
    stage = await harness.stage()
    opening = asyncio.create_task(
        harness.manager.participants.open_events(harness.claims(stage, "W"), watcher=Watcher(), client=CLIENT)
    )
    await until(lambda: harness.manager._unit.registry.sessions)
    opening.cancel()

    with pytest.raises(asyncio.CancelledError):
        await opening

    assert await harness.events(stage, "W") == ["JOINED", "LEFT"]
