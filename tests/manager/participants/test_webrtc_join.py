"""How participants come in, and what the book says about it."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from stagebook.media.port import RefusalReason
from stagebook.stage.errors import (
    AttemptRefusedError,
    OfferMalformedError,
    ServerBusyError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import ErrorCode
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Capability, ParticipantProtocol, ParticipantState
from tests.manager.house import CLIENT, ManagerHarness, Watcher, running_house


async def test_a_publisher_and_a_viewer(house: ManagerHarness) -> None:
    stage = await house.stage()
    publication = await house.publish(house.claims(stage, "P"))
    subscription = await house.subscribe(house.claims(stage, "V"), "P")

    await house.manager.close(house.claims(stage, "V"), connection_id=subscription)
    await house.manager.close(house.claims(stage, "P"), connection_id=publication)

    assert await house.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await house.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]


async def test_the_answer_comes_after_the_book(house: ManagerHarness) -> None:
    stage = await house.stage()

    await house.publish(house.claims(stage, "P"), connect=False)

    session_id = house.session_id(stage)
    record = house.book.get_participant(stage.arn, session_id, "P")
    assert record is not None
    assert record.state is ParticipantState.CONNECTED
    assert record.first_join_ms == house.clock.ms
    assert record.client == CLIENT
    assert len(house.book.list_events(stage.arn, session_id, "P")) == 1


async def test_published_and_protocol_count_from_the_first_flowing_media(house: ManagerHarness) -> None:
    stage = await house.stage()
    connection_id = await house.publish(house.claims(stage, "P"), connect=False)
    before = house.book.get_participant(stage.arn, house.session_id(stage), "P")

    house.engine.connect(connection_id)
    await house.settled()

    after = house.book.get_participant(stage.arn, house.session_id(stage), "P")
    assert before is not None
    assert after is not None
    assert (before.published, before.protocol) == (False, ParticipantProtocol.UNKNOWN)
    assert (after.published, after.protocol) == (True, ParticipantProtocol.WHIP)


async def test_publishing_without_the_capability(house: ManagerHarness) -> None:
    stage = await house.stage()
    claims = house.claims(stage, "P", Capability.SUBSCRIBE)

    with pytest.raises(AttemptRefusedError) as refusal:
        await house.publish(claims)

    assert refusal.value.code is ErrorCode.INSUFFICIENT_CAPABILITIES
    assert await house.events(stage, "P") == ["PUBLISH_ERROR:INSUFFICIENT_CAPABILITIES"]


async def test_a_joined_participant_without_the_capability_stays_joined(house: ManagerHarness) -> None:
    stage = await house.stage()
    claims = house.claims(stage, "P", Capability.SUBSCRIBE)
    await house.manager.open_events(claims, watcher=Watcher(), client=CLIENT)

    with pytest.raises(AttemptRefusedError):
        await house.publish(claims)

    assert await house.events(stage, "P") == ["JOINED", "PUBLISH_ERROR:INSUFFICIENT_CAPABILITIES"]


async def test_subscribing_without_the_capability(house: ManagerHarness) -> None:
    stage = await house.stage()

    with pytest.raises(AttemptRefusedError):
        await house.subscribe(house.claims(stage, "V", Capability.PUBLISH), "P")

    assert await house.events(stage, "V") == ["SUBSCRIBE_ERROR:INSUFFICIENT_CAPABILITIES(P)"]


async def test_subscribing_to_nobody(house: ManagerHarness) -> None:
    stage = await house.stage()

    with pytest.raises(AttemptRefusedError) as refusal:
        await house.subscribe(house.claims(stage, "V"), "X")

    assert refusal.value.code is ErrorCode.PUBLISHER_NOT_FOUND
    assert await house.events(stage, "V") == ["SUBSCRIBE_ERROR:PUBLISHER_NOT_FOUND(X)"]


async def test_a_publisher_of_another_stage_is_nobody(house: ManagerHarness) -> None:
    stage, other = await house.stage(), await house.stage()
    await house.publish(house.claims(other, "P"))

    with pytest.raises(AttemptRefusedError):
        await house.subscribe(house.claims(stage, "V"), "P")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (RefusalReason.AUDIO_CODEC, "INVALID_AUDIO_CODEC"),
        (RefusalReason.VIDEO_CODEC, "INVALID_VIDEO_CODEC"),
        (RefusalReason.ENGINE_LOST, "INTERNAL_SERVER_EXCEPTION"),
    ],
)
async def test_an_offer_that_the_engine_cannot_serve(house: ManagerHarness, reason: RefusalReason, code: str) -> None:
    stage = await house.stage()
    house.engine.refuse = reason

    with pytest.raises(AttemptRefusedError):
        await house.publish(house.claims(stage, "P"))

    assert await house.events(stage, "P") == [f"PUBLISH_ERROR:{code}"]


@pytest.mark.parametrize(
    ("reason", "error"), [(RefusalReason.MALFORMED, OfferMalformedError), (RefusalReason.BUSY, ServerBusyError)]
)
async def test_what_is_no_attempt_makes_no_event(
    house: ManagerHarness, reason: RefusalReason, error: type[Exception]
) -> None:
    stage = await house.stage()
    house.engine.refuse = reason

    with pytest.raises(error):
        await house.publish(house.claims(stage, "P"))

    assert house.book.list_sessions(stage.arn, after=None, limit=1).items == []


async def test_the_publisher_who_is_one_too_many(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, publishers_per_stage=2)
    async with running_house(tmp_path / "book", limits=limits) as house:
        stage = await house.stage()
        await house.publish(house.claims(stage, "A"))
        second = await house.publish(house.claims(stage, "B"))

        with pytest.raises(AttemptRefusedError) as refusal:
            await house.publish(house.claims(stage, "C"))
        await house.manager.close(house.claims(stage, "B"), connection_id=second)
        await house.publish(house.claims(stage, "C"))

        assert refusal.value.code is ErrorCode.QUOTA_EXCEEDED
        assert await house.events(stage, "C") == ["PUBLISH_ERROR:QUOTA_EXCEEDED", "JOINED", "PUBLISH_STARTED"]


async def test_two_offers_at_once_cannot_share_the_last_place(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, publishers_per_stage=1)
    async with running_house(tmp_path / "book", limits=limits) as house:
        stage = await house.stage()
        house.engine.hold = asyncio.Event()
        offers = [asyncio.create_task(house.publish(house.claims(stage, name))) for name in "AB"]
        await asyncio.sleep(0)
        house.engine.hold.set()

        results = await asyncio.gather(*offers, return_exceptions=True)

        assert [isinstance(result, AttemptRefusedError) for result in results] == [False, True]
        assert len(house.engine.closed) == 1


async def test_a_full_stage_is_a_join_error(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, participants_per_stage=1)
    async with running_house(tmp_path / "book", limits=limits) as house:
        stage = await house.stage()
        await house.manager.open_events(house.claims(stage, "A"), watcher=Watcher(), client=CLIENT)

        with pytest.raises(AttemptRefusedError):
            await house.manager.open_events(house.claims(stage, "B"), watcher=Watcher(), client=CLIENT)

        assert await house.events(stage, "B") == ["JOIN_ERROR:QUOTA_EXCEEDED"]
        await house.publish(house.claims(stage, "A"))


async def test_subscriptions_have_a_quota(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, subscribers_per_stage=1)
    async with running_house(tmp_path / "book", limits=limits) as house:
        stage = await house.stage()
        await house.publish(house.claims(stage, "P"))
        await house.subscribe(house.claims(stage, "A"), "P")

        with pytest.raises(AttemptRefusedError):
            await house.subscribe(house.claims(stage, "B"), "P")

        assert await house.events(stage, "B") == ["SUBSCRIBE_ERROR:QUOTA_EXCEEDED(P)"]


async def test_one_participant_has_a_bounded_number_of_connections(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(RELAXED, connections_per_participant=1)
    async with running_house(tmp_path / "book", limits=limits) as house:
        stage = await house.stage()
        await house.publish(house.claims(stage, "P"))

        with pytest.raises(AttemptRefusedError):
            await house.subscribe(house.claims(stage, "P"), "P")

        await house.publish(house.claims(stage, "P"))


async def test_a_publisher_who_comes_back_keeps_its_viewers_and_its_source(house: ManagerHarness) -> None:
    stage = await house.stage()
    former = await house.publish(house.claims(stage, "P"))
    await house.subscribe(house.claims(stage, "V"), "P")

    current = await house.publish(house.claims(stage, "P"))
    house.engine.lose(former)

    assert house.engine.connections[former] == house.engine.connections[current]
    assert await house.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]
    assert await house.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)"]
    house.engine.lose(current)
    assert await house.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]


async def test_a_publisher_who_publishes_anew_has_a_new_source(house: ManagerHarness) -> None:
    stage = await house.stage()
    first = await house.publish(house.claims(stage, "P"))
    await house.manager.close(house.claims(stage, "P"), connection_id=first)

    second = await house.publish(house.claims(stage, "P"))

    assert house.engine.connections[first] != house.engine.connections[second]
    assert house.engine.ended_sources == [house.engine.connections[first]]


async def test_a_participant_can_watch_itself_and_leave(house: ManagerHarness) -> None:
    stage = await house.stage()
    connection_id = await house.publish(house.claims(stage, "P"))
    await house.subscribe(house.claims(stage, "P"), "P")

    await house.manager.close(house.claims(stage, "P"), connection_id=connection_id)

    assert await house.events(stage, "P") == [
        "JOINED",
        "PUBLISH_STARTED",
        "SUBSCRIBE_STARTED(P)",
        "PUBLISH_STOPPED",
        "SUBSCRIBE_STOPPED(P)",
        "LEFT",
    ]


async def test_nobody_slips_onto_a_stage_that_is_deleted_while_the_engine_answers(house: ManagerHarness) -> None:
    stage = await house.stage()
    house.engine.hold = asyncio.Event()
    offer = asyncio.create_task(house.publish(house.claims(stage, "P")))
    await asyncio.sleep(0)
    await house.manager.delete_stage(stage_arn=stage.arn)

    house.engine.hold.set()

    with pytest.raises(TokenRefusedError) as refusal:
        await offer
    assert refusal.value.refusal is TokenRefusal.STAGE_DELETED
    assert len(house.engine.closed) == 1


async def test_a_publisher_who_is_lost_while_it_comes_back_keeps_the_source_it_comes_back_to(
    house: ManagerHarness,
) -> None:
    stage = await house.stage()
    former = await house.publish(house.claims(stage, "P"))
    await house.subscribe(house.claims(stage, "V"), "P")
    house.engine.hold = asyncio.Event()
    offer = asyncio.create_task(house.publish(house.claims(stage, "P")))
    await asyncio.sleep(0)
    house.engine.lose(former)

    house.engine.hold.set()
    current = await offer

    assert house.engine.connections[former] == house.engine.connections[current]
    assert await house.events(stage, "P") == [
        *("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"),
        *("JOINED", "PUBLISH_STARTED"),
    ]
    assert (await house.events(stage, "V"))[2:] == ["SUBSCRIBE_STOPPED(P)", "LEFT"]
    assert house.engine.ended_sources == []
    await house.subscribe(house.claims(stage, "W"), "P")
    await house.manager.close(house.claims(stage, "P"), connection_id=current)
    await house.settled()
    assert house.engine.ended_sources == [house.engine.connections[current]]


async def test_an_offer_that_comes_to_nothing_leaves_no_source_in_the_engine(house: ManagerHarness) -> None:
    stage = await house.stage()
    house.engine.hold = asyncio.Event()
    offer = asyncio.create_task(house.publish(house.claims(stage, "P")))
    await asyncio.sleep(0)
    await house.manager.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="")

    house.engine.hold.set()

    with pytest.raises(TokenRefusedError):
        await offer
    assert house.engine.ended_sources == list(house.engine.connections.values())


async def test_a_publisher_that_stops_while_the_engine_answers_its_viewer_is_not_found(house: ManagerHarness) -> None:
    stage = await house.stage()
    publication = await house.publish(house.claims(stage, "P"))
    house.engine.hold = asyncio.Event()
    offer = asyncio.create_task(house.subscribe(house.claims(stage, "V"), "P"))
    await asyncio.sleep(0)
    await house.manager.close(house.claims(stage, "P"), connection_id=publication)

    house.engine.hold.set()

    with pytest.raises(AttemptRefusedError):
        await offer
    assert await house.events(stage, "V") == ["SUBSCRIBE_ERROR:PUBLISHER_NOT_FOUND(P)"]
