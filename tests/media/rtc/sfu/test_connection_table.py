"""The limits and timeouts of a forwarder's connections."""

import pytest

from stagebook.media.port import CloseCause, Closed, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu import connection_table
from tests.media.rtc.running_engine import running_engine


async def test_consent_expires_after_the_configured_time_and_not_before() -> None:
    async with running_engine(EngineSettings(consent_timeout_seconds=15)) as engine:
        publisher = await engine.publisher()
        engine.skipped_seconds += 14
        await publisher.check()
        engine.skipped_seconds += 14
        await publisher.check()
        assert not any(isinstance(fact, Closed) for fact in engine.facts)
        engine.skipped_seconds += 16
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.CONSENT_LOST))


async def test_connections_beyond_the_limit_are_refused() -> None:
    async with running_engine(EngineSettings(max_connections=1)) as engine:
        await engine.publisher()
        with pytest.raises(MediaRefusedError) as refused:
            await engine.viewer()
        assert refused.value.reason is RefusalReason.BUSY


async def test_connecting_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_table, "MAX_CONNECTING", 2)
    async with running_engine() as engine:
        await engine.publisher("p")
        for connection_id in ("v1", "v2"):
            offer = engine.raw_peer().offer("recvonly")
            engine.forwarder.subscribe(connection_id=connection_id, source_id="source", offer=offer)
        with pytest.raises(MediaRefusedError) as refused:
            await engine.viewer("v3")
        assert refused.value.reason is RefusalReason.BUSY
        engine.forwarder.close(connection_id="v1")
        await engine.viewer("v3")
