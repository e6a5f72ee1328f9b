"""Encoder feeds of the engine pool."""

import tempfile
from pathlib import Path

import pytest

from stagebook.media.port import (
    CloseCause,
    Closed,
    Connected,
    MediaRefusedError,
    RefusalReason,
    SourceMeasured,
)
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.worker_run import WorkerStartError
from tests.media.rtc.engine.running_pool import running_pool, until
from tests.media.rtc.feed_client import FeedClient


async def test_a_feed_is_placed_on_the_engine_of_its_source_and_viewers_follow() -> None:
    async with running_pool(processes=2) as scenario:
        await scenario.publish("other")
        ticket = await scenario.pool.open_feed(connection_id="f", source_id="s", is_redundant=False)
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.subscribe("s", "early")
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
        feed = await FeedClient.open(ticket)
        await until(lambda: Connected(connection_id="f") in scenario.facts)
        feed.play()
        assert await scenario.subscribe("s", "v") == scenario.pool.engines[1].udp_port
        await until(lambda: any(isinstance(fact, SourceMeasured) and fact.width == 320 for fact in scenario.facts))


async def test_the_feeds_of_a_lost_engine_are_closed() -> None:
    async with running_pool() as scenario:
        feeds: list[FeedClient] = []
        for connection_id in ("f", "g"):
            ticket = await scenario.pool.open_feed(connection_id=connection_id, source_id="s", is_redundant=True)
            feeds.append(await FeedClient.open(ticket))
        await until(lambda: {Connected(connection_id="f"), Connected(connection_id="g")} <= set(scenario.facts))
        scenario.kill()
        await scenario.wait_for_restart()
        await until(lambda: Closed(connection_id="g", cause=CloseCause.ENGINE_LOST) in scenario.facts)
        assert Closed(connection_id="f", cause=CloseCause.ENGINE_LOST) in scenario.facts
        for feed in feeds:
            assert await feed.is_disconnected()


async def test_a_closed_feed_is_disconnected_without_a_fact() -> None:
    async with running_pool() as scenario:
        feed = await FeedClient.open(
            await scenario.pool.open_feed(connection_id="f", source_id="s", is_redundant=False)
        )
        await until(lambda: Connected(connection_id="f") in scenario.facts)
        scenario.pool.close(connection_id="f")
        assert await feed.is_disconnected()
        again = await FeedClient.open(
            await scenario.pool.open_feed(connection_id="g", source_id="s", is_redundant=False)
        )
        await until(lambda: Connected(connection_id="g") in scenario.facts)
        scenario.pool.end_source(source_id="s")
        assert await again.is_disconnected()
        assert not any(isinstance(fact, Closed) for fact in scenario.facts)


async def test_the_feed_directory_is_deleted() -> None:
    async with running_pool(processes=2) as scenario:
        ticket = await scenario.pool.open_feed(connection_id="f", source_id="s", is_redundant=False)
        directory = Path(ticket.path).parent
        assert directory.stat().st_mode & 0o777 == 0o700
        # Each engine has a socket for encoders and one for relays.
        assert len(list(directory.iterdir())) == 4
    assert not directory.exists()


async def test_without_a_feed_directory_no_engine_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    pool = EnginePool(EngineSettings(), processes=1)
    with pytest.raises(WorkerStartError, match=r"cannot create a directory for encoder feeds: .*'/nowhere"):
        await pool.start()
    assert pool.engines[0].process_id is None
