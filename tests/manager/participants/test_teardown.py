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
from tests.manager.manager_harness import CLIENT, LINGER_MS, ManagerHarness, Watcher, running_manager
from tests.manager.replicated_pair import make_pair


async def cause_of_last(harness: ManagerHarness, stage: Stage, participant_id: str) -> Cause | None:
    await harness.settled()
    return harness.book.list_events(stage.arn, harness.session_id(stage), participant_id)[-1].event.cause


@pytest.mark.parametrize(
    ("closed", "cause"),
    [
        (CloseCause.CONSENT_LOST, Cause.PEER_LOST),
        (CloseCause.PEER_CLOSED, Cause.CLIENT),
        (CloseCause.TRANSPORT_FAILED, Cause.PEER_LOST),
    ],
)
async def test_a_lost_publisher_takes_its_viewers_along(
    harness: ManagerHarness, closed: CloseCause, cause: Cause
) -> None:
    stage = await harness.stage()
    publication = await harness.publish(harness.claims(stage, "P"))
    await harness.subscribe(harness.claims(stage, "V"), "P")

    harness.engine.lose(publication, closed)

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]
    assert await cause_of_last(harness, stage, "P") is cause
    assert await cause_of_last(harness, stage, "V") is Cause.PUBLISHER_STOPPED


async def test_a_viewer_with_an_events_connection_stays(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    publication = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.open_events(harness.claims(stage, "V"), watcher=Watcher(), client=CLIENT)
    subscription = await harness.subscribe(harness.claims(stage, "V"), "P")

    harness.engine.lose(publication)

    assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)"]
    assert harness.engine.closed == [subscription]


async def test_an_engine_that_dies_is_an_internal_error_of_the_publication(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    publication = await harness.publish(harness.claims(stage, "P"))
    subscription = await harness.subscribe(harness.claims(stage, "V"), "P")

    harness.engine.lose(subscription, CloseCause.ENGINE_LOST)
    harness.engine.lose(publication, CloseCause.ENGINE_LOST)

    assert await harness.events(stage, "P") == [
        "JOINED",
        "PUBLISH_STARTED",
        "PUBLISH_ERROR:INTERNAL_SERVER_EXCEPTION",
        "PUBLISH_STOPPED",
        "LEFT",
    ]
    assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]


async def test_disconnecting_ends_everything_and_the_token_for_good(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    watcher = Watcher()
    claims = harness.claims(stage, "P")
    harness.tokens.mint(claims)
    await harness.manager.participants.open_events(claims, watcher=watcher, client=CLIENT)
    await harness.publish(claims)

    await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="house rules")

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert watcher.farewells == [(FarewellReason.DISCONNECTED, "house rules")]
    with pytest.raises(TokenRefusedError) as refusal:
        harness.admit("P")
    assert refusal.value.refusal is TokenRefusal.PARTICIPANT_DISCONNECTED
    with pytest.raises(TokenRefusedError):
        await harness.publish(claims)
    assert len(await harness.events(stage, "P")) == 4


async def test_disconnecting_somebody_who_never_came_bars_the_token(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    harness.tokens.mint(harness.claims(stage, "P"))

    await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="")

    with pytest.raises(TokenRefusedError):
        harness.admit("P")


async def test_deleting_a_stage_ends_everything_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "book"
    async with running_manager(path) as harness:
        stage = await harness.stage()
        watcher = Watcher()
        await harness.publish(harness.claims(stage, "P"))
        await harness.subscribe(harness.claims(stage, "V"), "P")
        await harness.manager.participants.open_events(harness.claims(stage, "V"), watcher=watcher, client=CLIENT)
        session_id = harness.session_id(stage)

        await harness.manager.stages.delete(stage_arn=stage.arn)

        assert harness.book.get_stage(stage.arn) is None
        assert watcher.farewells == [(FarewellReason.STAGE_DELETED, "")]
        assert harness.book.list_open_sessions() == []
    history = harness.book.__class__.open(path, show_deleted_history=True)
    try:
        names = [e.event.name.value for e in history.list_events(stage.arn, session_id, "V")]
        causes = {e.event.cause for e in history.list_events(stage.arn, session_id, "V")[-2:]}
        assert names == ["JOINED", "SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED", "LEFT"]
        assert causes == {Cause.STAGE_DELETED}
    finally:
        await history.close()


async def test_shutting_down_says_goodbye_to_everybody(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    watcher = Watcher()
    await harness.manager.participants.open_events(harness.claims(stage, "W"), watcher=watcher, client=CLIENT)
    await harness.publish(harness.claims(stage, "P"))

    await harness.manager.shutdown()

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await harness.events(stage, "W") == ["JOINED", "LEFT"]
    assert watcher.farewells == [(FarewellReason.SHUTDOWN, "")]
    assert harness.book.list_open_sessions() == []


async def test_a_broken_limit_ends_the_publication(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book", limits=STRICT) as harness:
        stage = await harness.stage()
        publication = await harness.publish(harness.claims(stage, "P"))

        harness.engine.measure(publication, width=1_920, height=1_080)

        assert (await harness.events(stage, "P"))[2:] == [
            "PUBLISH_ERROR:RESOLUTION_EXCEEDED",
            "PUBLISH_STOPPED",
            "LEFT",
        ]
        assert harness.engine.ended_sources == [harness.engine.connections[publication]]


async def test_a_sustained_bitrate_ends_the_publication(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book", limits=STRICT) as harness:
        stage = await harness.stage()
        publication = await harness.publish(harness.claims(stage, "P"))

        for _ in range(STRICT.publish_bitrate_window_seconds):
            harness.engine.measure(publication, bitrate_bps=9_000_000)

        assert (await harness.events(stage, "P"))[2] == "PUBLISH_ERROR:BITRATE_EXCEEDED"


async def test_streams_end_after_the_longest_duration(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, duration_seconds=60)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "P"))
        harness.clock.ms += 30_000
        await harness.subscribe(harness.claims(stage, "V"), "P")
        await harness.manager.participants.open_events(harness.claims(stage, "V"), watcher=Watcher(), client=CLIENT)

        harness.clock.ms += 31_000
        harness.manager.tick()

        assert (await harness.events(stage, "P"))[2:] == [
            "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED",
            "PUBLISH_STOPPED",
            "LEFT",
        ]
        assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)"]


async def test_a_subscription_has_a_longest_duration_too(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, duration_seconds=60)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        publication = await harness.publish(harness.claims(stage, "P"))
        await harness.subscribe(harness.claims(stage, "V"), "P")
        harness.clock.ms += 59_000
        replacement = await harness.publish(harness.claims(stage, "P"))

        harness.clock.ms += 1_000
        harness.manager.tick()

        assert publication != replacement
        assert (await harness.events(stage, "V"))[2] == "SUBSCRIBE_ERROR:STREAM_DURATION_EXCEEDED(P)"
        assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]


async def test_a_session_ends_a_linger_after_the_last_left_whenever_that_is_noticed(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    publication = await harness.publish(harness.claims(stage, "P"))
    harness.clock.ms += 5_000
    left_ms = harness.clock.ms
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=publication)
    harness.manager.tick()
    active = harness.book.get_stage(stage.arn)

    harness.clock.ms += 60_000
    harness.manager.tick()
    await harness.settled()

    session = harness.book.get_session(stage.arn, harness.session_id(stage))
    idle = harness.book.get_stage(stage.arn)
    assert active is not None
    assert idle is not None
    assert session is not None
    assert active.active_session_id == session.session_id
    assert session.end_ms == left_ms + LINGER_MS
    assert idle.active_session_id is None


async def test_who_joins_after_the_end_opens_another_session(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)
    harness.clock.ms += LINGER_MS
    harness.manager.tick()

    await harness.publish(harness.claims(stage, "P"))

    assert len(harness.book.list_sessions(stage.arn, after=None, limit=10).items) == 2
    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]


async def test_who_comes_back_within_a_session_is_the_same_row(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    first_ms = harness.clock.ms
    connection_id = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)
    await harness.settled()
    harness.clock.ms += 500

    await harness.manager.participants.open_events(harness.claims(stage, "P"), watcher=Watcher(), client=CLIENT)

    everybody = ParticipantFilter()
    page = harness.book.list_participants(stage.arn, harness.session_id(stage), where=everybody, after=None, limit=10)
    assert [(p.participant_id, p.published, p.first_join_ms, p.state) for p in page.items] == [
        ("P", True, first_ms, ParticipantState.CONNECTED)
    ]


async def test_only_its_own_participant_may_touch_a_connection(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.publish(harness.claims(stage, "P"))

    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.close(harness.claims(stage, "Q"), connection_id=connection_id)
    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.patch(
            harness.claims(stage, "Q"), connection_id=connection_id, fragment="f", ice_session=None
        )


async def test_a_websocket_and_a_replica_are_no_media_connections_to_close(harness: ManagerHarness) -> None:
    pair = await make_pair(harness)
    claims = harness.claims(pair.there, "W")
    websocket = await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)
    await pair.start()
    replica = harness.manager._unit.registry.sessions[pair.there.arn].participants["P"].machine.replica_id
    assert replica is not None

    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.close(claims, connection_id=websocket)
    with pytest.raises(ConnectionNotFoundError):
        await harness.manager.participants.close(harness.claims(pair.there, "P"), connection_id=replica)


async def test_a_patch_is_the_engines_affair(harness: ManagerHarness) -> None:
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


async def test_news_of_a_connection_that_ended_is_no_news(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)

    harness.engine.lose(connection_id)
    harness.engine.connect(connection_id)
    harness.engine.measure(connection_id)

    assert len(await harness.events(stage, "P")) == 4
