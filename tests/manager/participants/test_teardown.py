"""How connections end, and what follows for everybody else on the stage."""

from pathlib import Path

import msgspec
import pytest

from stagebook.book.store import ParticipantFilter
from stagebook.manager.presence.watchers import FarewellReason
from stagebook.media.port import CloseCause
from stagebook.stage.errors import (
    ConnectionNotFoundError,
    IceSessionMismatchError,
    OfferMalformedError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import Cause
from stagebook.stage.limits import STRICT
from stagebook.stage.resources import ParticipantState, Stage
from tests.manager.house import CLIENT, LINGER_MS, ManagerHarness, Watcher, running_house
from tests.manager.replicating import make_pair


async def cause_of_last(house: ManagerHarness, stage: Stage, participant_id: str) -> Cause | None:
    await house.settled()
    return house.book.list_events(stage.arn, house.session_id(stage), participant_id)[-1].event.cause


@pytest.mark.parametrize(
    ("closed", "cause"),
    [
        (CloseCause.CONSENT_LOST, Cause.PEER_LOST),
        (CloseCause.PEER_CLOSED, Cause.CLIENT),
        (CloseCause.TRANSPORT_FAILED, Cause.PEER_LOST),
    ],
)
async def test_a_lost_publisher_takes_its_viewers_along(
    house: ManagerHarness, closed: CloseCause, cause: Cause
) -> None:
    stage = await house.stage()
    publication = await house.publish(house.claims(stage, "P"))
    await house.subscribe(house.claims(stage, "V"), "P")

    house.engine.lose(publication, closed)

    assert await house.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await house.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]
    assert await cause_of_last(house, stage, "P") is cause
    assert await cause_of_last(house, stage, "V") is Cause.PUBLISHER_STOPPED


async def test_a_viewer_with_an_events_connection_stays(house: ManagerHarness) -> None:
    stage = await house.stage()
    publication = await house.publish(house.claims(stage, "P"))
    await house.manager.open_events(house.claims(stage, "V"), watcher=Watcher(), client=CLIENT)
    subscription = await house.subscribe(house.claims(stage, "V"), "P")

    house.engine.lose(publication)

    assert await house.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)"]
    assert house.engine.closed == [subscription]


async def test_an_engine_that_dies_is_an_internal_error_of_the_publication(house: ManagerHarness) -> None:
    stage = await house.stage()
    publication = await house.publish(house.claims(stage, "P"))
    subscription = await house.subscribe(house.claims(stage, "V"), "P")

    house.engine.lose(subscription, CloseCause.ENGINE_LOST)
    house.engine.lose(publication, CloseCause.ENGINE_LOST)

    assert await house.events(stage, "P") == [
        "JOINED",
        "PUBLISH_STARTED",
        "PUBLISH_ERROR:INTERNAL_SERVER_EXCEPTION",
        "PUBLISH_STOPPED",
        "LEFT",
    ]
    assert await house.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]


async def test_disconnecting_ends_everything_and_the_token_for_good(house: ManagerHarness) -> None:
    stage = await house.stage()
    watcher = Watcher()
    claims = house.claims(stage, "P")
    house.tokens.mint(claims)
    await house.manager.open_events(claims, watcher=watcher, client=CLIENT)
    await house.publish(claims)

    await house.manager.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="house rules")

    assert await house.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert watcher.farewells == [(FarewellReason.DISCONNECTED, "house rules")]
    with pytest.raises(TokenRefusedError) as refusal:
        house.manager.admit("P")
    assert refusal.value.refusal is TokenRefusal.PARTICIPANT_DISCONNECTED
    with pytest.raises(TokenRefusedError):
        await house.publish(claims)
    assert len(await house.events(stage, "P")) == 4


async def test_disconnecting_somebody_who_never_came_bars_the_token(house: ManagerHarness) -> None:
    stage = await house.stage()
    house.tokens.mint(house.claims(stage, "P"))

    await house.manager.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="")

    with pytest.raises(TokenRefusedError):
        house.manager.admit("P")


async def test_deleting_a_stage_ends_everything_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "book"
    async with running_house(path) as house:
        stage = await house.stage()
        watcher = Watcher()
        await house.publish(house.claims(stage, "P"))
        await house.subscribe(house.claims(stage, "V"), "P")
        await house.manager.open_events(house.claims(stage, "V"), watcher=watcher, client=CLIENT)
        session_id = house.session_id(stage)

        await house.manager.delete_stage(stage_arn=stage.arn)

        assert house.book.get_stage(stage.arn) is None
        assert watcher.farewells == [(FarewellReason.STAGE_DELETED, "")]
        assert house.book.list_open_sessions() == []
    history = house.book.__class__.open(path, show_deleted_history=True)
    try:
        names = [e.event.name.value for e in history.list_events(stage.arn, session_id, "V")]
        causes = {e.event.cause for e in history.list_events(stage.arn, session_id, "V")[-2:]}
        assert names == ["JOINED", "SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED", "LEFT"]
        assert causes == {Cause.STAGE_DELETED}
    finally:
        await history.close()


async def test_shutting_down_says_goodbye_to_everybody(house: ManagerHarness) -> None:
    stage = await house.stage()
    watcher = Watcher()
    await house.manager.open_events(house.claims(stage, "W"), watcher=watcher, client=CLIENT)
    await house.publish(house.claims(stage, "P"))

    await house.manager.shutdown()

    assert await house.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await house.events(stage, "W") == ["JOINED", "LEFT"]
    assert watcher.farewells == [(FarewellReason.SHUTDOWN, "")]
    assert house.book.list_open_sessions() == []


async def test_a_broken_limit_ends_the_publication(tmp_path: Path) -> None:
    async with running_house(tmp_path / "book", limits=STRICT) as house:
        stage = await house.stage()
        publication = await house.publish(house.claims(stage, "P"))

        house.engine.measure(publication, width=1_920, height=1_080)

        assert (await house.events(stage, "P"))[2:] == [
            "PUBLISH_ERROR:RESOLUTION_EXCEEDED",
            "PUBLISH_STOPPED",
            "LEFT",
        ]
        assert house.engine.ended_sources == [house.engine.connections[publication]]


async def test_a_sustained_bitrate_ends_the_publication(tmp_path: Path) -> None:
    async with running_house(tmp_path / "book", limits=STRICT) as house:
        stage = await house.stage()
        publication = await house.publish(house.claims(stage, "P"))

        for _ in range(STRICT.publish_bitrate_window_seconds):
            house.engine.measure(publication, bitrate_bps=9_000_000)

        assert (await house.events(stage, "P"))[2] == "PUBLISH_ERROR:BITRATE_EXCEEDED"


async def test_streams_end_after_the_longest_duration(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, duration_seconds=60)
    async with running_house(tmp_path / "book", limits=limits) as house:
        stage = await house.stage()
        await house.publish(house.claims(stage, "P"))
        house.clock.ms += 30_000
        await house.subscribe(house.claims(stage, "V"), "P")
        await house.manager.open_events(house.claims(stage, "V"), watcher=Watcher(), client=CLIENT)

        house.clock.ms += 31_000
        house.manager.tick()

        assert (await house.events(stage, "P"))[2:] == [
            "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED",
            "PUBLISH_STOPPED",
            "LEFT",
        ]
        assert await house.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)"]


async def test_a_subscription_has_a_longest_duration_too(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, duration_seconds=60)
    async with running_house(tmp_path / "book", limits=limits) as house:
        stage = await house.stage()
        publication = await house.publish(house.claims(stage, "P"))
        await house.subscribe(house.claims(stage, "V"), "P")
        house.clock.ms += 59_000
        replacement = await house.publish(house.claims(stage, "P"))

        house.clock.ms += 1_000
        house.manager.tick()

        assert publication != replacement
        assert (await house.events(stage, "V"))[2] == "SUBSCRIBE_ERROR:STREAM_DURATION_EXCEEDED(P)"
        assert await house.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]


async def test_a_session_ends_a_linger_after_the_last_left_whenever_that_is_noticed(house: ManagerHarness) -> None:
    stage = await house.stage()
    publication = await house.publish(house.claims(stage, "P"))
    house.clock.ms += 5_000
    left_ms = house.clock.ms
    await house.manager.close(house.claims(stage, "P"), connection_id=publication)
    house.manager.tick()
    active = house.book.get_stage(stage.arn)

    house.clock.ms += 60_000
    house.manager.tick()
    await house.settled()

    session = house.book.get_session(stage.arn, house.session_id(stage))
    idle = house.book.get_stage(stage.arn)
    assert active is not None
    assert idle is not None
    assert session is not None
    assert active.active_session_id == session.session_id
    assert session.end_ms == left_ms + LINGER_MS
    assert idle.active_session_id is None


async def test_who_joins_after_the_end_opens_another_session(house: ManagerHarness) -> None:
    stage = await house.stage()
    connection_id = await house.publish(house.claims(stage, "P"))
    await house.manager.close(house.claims(stage, "P"), connection_id=connection_id)
    house.clock.ms += LINGER_MS
    house.manager.tick()

    await house.publish(house.claims(stage, "P"))

    assert len(house.book.list_sessions(stage.arn, after=None, limit=10).items) == 2
    assert await house.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]


async def test_who_comes_back_within_a_session_is_the_same_row(house: ManagerHarness) -> None:
    stage = await house.stage()
    first_ms = house.clock.ms
    connection_id = await house.publish(house.claims(stage, "P"))
    await house.manager.close(house.claims(stage, "P"), connection_id=connection_id)
    await house.settled()
    house.clock.ms += 500

    await house.manager.open_events(house.claims(stage, "P"), watcher=Watcher(), client=CLIENT)

    everybody = ParticipantFilter()
    page = house.book.list_participants(stage.arn, house.session_id(stage), where=everybody, after=None, limit=10)
    assert [(p.participant_id, p.published, p.first_join_ms, p.state) for p in page.items] == [
        ("P", True, first_ms, ParticipantState.CONNECTED)
    ]


async def test_only_its_own_participant_may_touch_a_connection(house: ManagerHarness) -> None:
    stage = await house.stage()
    connection_id = await house.publish(house.claims(stage, "P"))

    with pytest.raises(ConnectionNotFoundError):
        await house.manager.close(house.claims(stage, "Q"), connection_id=connection_id)
    with pytest.raises(ConnectionNotFoundError):
        await house.manager.patch(house.claims(stage, "Q"), connection_id=connection_id, fragment="f", ice_session=None)


async def test_a_websocket_and_a_replica_are_no_media_connections_to_close(house: ManagerHarness) -> None:
    pair = await make_pair(house)
    claims = house.claims(pair.there, "W")
    websocket = await house.manager.open_events(claims, watcher=Watcher(), client=CLIENT)
    await pair.start()
    (replica,) = house.manager._ledger.live.replications

    with pytest.raises(ConnectionNotFoundError):
        await house.manager.close(claims, connection_id=websocket)
    with pytest.raises(ConnectionNotFoundError):
        await house.manager.close(house.claims(pair.there, "P"), connection_id=replica)


async def test_a_patch_is_the_engines_affair(house: ManagerHarness) -> None:
    stage = await house.stage()
    claims = house.claims(stage, "P")
    connection_id = await house.publish(claims)
    patch = house.manager.patch

    answer = await patch(claims, connection_id=connection_id, fragment="a=candidate", ice_session="ice-1")

    assert answer.fragment is None
    with pytest.raises(IceSessionMismatchError):
        await patch(claims, connection_id=connection_id, fragment="a=candidate", ice_session="old")
    with pytest.raises(OfferMalformedError):
        await patch(claims, connection_id=connection_id, fragment="", ice_session=None)


async def test_news_of_a_connection_that_ended_is_no_news(house: ManagerHarness) -> None:
    stage = await house.stage()
    connection_id = await house.publish(house.claims(stage, "P"))
    await house.manager.close(house.claims(stage, "P"), connection_id=connection_id)

    house.engine.lose(connection_id)
    house.engine.connect(connection_id)
    house.engine.measure(connection_id)

    assert len(await house.events(stage, "P")) == 4
