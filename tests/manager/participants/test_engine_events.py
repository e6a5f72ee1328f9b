"""The reports of the engine: lost connections, broken limits, and reports about connections that have ended."""

from pathlib import Path

import pytest

from stagebook.media.port import CloseCause
from stagebook.stage.events import Cause
from stagebook.stage.limits import STRICT
from stagebook.stage.resources import Stage
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher, running_manager


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
async def test_the_subscriptions_to_a_lost_publisher_end(
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


async def test_a_viewer_with_an_events_websocket_stays(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    publication = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.open_events(harness.claims(stage, "V"), watcher=Watcher(), client=CLIENT)
    subscription = await harness.subscribe(harness.claims(stage, "V"), "P")

    harness.engine.lose(publication)

    assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)"]
    assert harness.engine.closed == [subscription]


async def test_a_lost_engine_is_an_internal_error_of_the_publication(harness: ManagerHarness) -> None:
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


async def test_reports_about_a_connection_that_has_ended_change_nothing(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)

    harness.engine.lose(connection_id)
    harness.engine.connect(connection_id)
    harness.engine.measure(connection_id)

    assert len(await harness.events(stage, "P")) == 4
