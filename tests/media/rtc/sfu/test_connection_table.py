"""The limits and timeouts of a forwarder's connections."""

import pytest

from stagebook.media.port import CloseCause, Closed, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu import connection_table
from tests.media.rtc.running_engine import running_engine


async def test_consent_expires_after_the_configured_time_and_not_before() -> None:
    async with running_engine(EngineSettings(consent_timeout_seconds=100)) as engine:
        publisher = await engine.publisher()
        engine.skipped_seconds += 60
        await publisher.check()
        engine.skipped_seconds += 60
        await publisher.check()
        assert not any(isinstance(fact, Closed) for fact in engine.facts)
        engine.skipped_seconds += 101
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


async def test_at_the_limit_the_oldest_silent_connection_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_table, "MAX_CONNECTING", 3)
    async with running_engine() as engine:
        await engine.publisher("p")
        peers = [engine.raw_peer() for _ in range(3)]
        for number, peer in enumerate(peers):
            answer = engine.forwarder.subscribe(
                connection_id=f"v{number}", source_id="source", offer=peer.offer("recvonly")
            )
            peer.take_credentials(answer.sdp)
        # The oldest one has sent a check: it is slow, but it is there.
        peers[0]._engine = ("127.0.0.1", engine.forwarder.udp_port)
        await peers[0].check()
        engine.skipped_seconds += connection_table.SILENT_SECONDS
        await engine.viewer("late")
        assert [fact for fact in engine.facts if isinstance(fact, Closed)] == [
            Closed(connection_id="v1", cause=CloseCause.NEVER_CONNECTED)
        ]


async def test_at_the_limit_the_oldest_connection_of_the_largest_network_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections that have sent a check, and then nothing, must not close the door for everyone."""
    monkeypatch.setattr(connection_table, "MAX_CONNECTING", 3)
    async with running_engine() as engine:
        await engine.publisher("p")
        for number in range(3):
            peer = engine.raw_peer()
            answer = engine.forwarder.subscribe(
                connection_id=f"v{number}", source_id="source", offer=peer.offer("recvonly")
            )
            peer.take_credentials(answer.sdp)
            peer._engine = ("127.0.0.1", engine.forwarder.udp_port)
            await peer.check()
        engine.skipped_seconds += connection_table.SILENT_SECONDS
        with pytest.raises(MediaRefusedError):
            await engine.viewer("late")
        monkeypatch.setattr(connection_table, "MAX_HANDSHAKES_PER_NETWORK", 2)
        await engine.viewer("late")
        assert [fact for fact in engine.facts if isinstance(fact, Closed)] == [
            Closed(connection_id="v0", cause=CloseCause.NEVER_CONNECTED)
        ]


async def test_a_source_keeps_only_its_latest_connecting_publishers() -> None:
    async with running_engine() as engine:
        offer = engine.raw_peer().offer("sendonly")
        for number in range(connection_table.MAX_CONNECTING_PUBLISHERS):
            engine.forwarder.publish(connection_id=f"p{number}", source_id="source", offer=offer)
            engine.forwarder.publish(connection_id=f"other{number}", source_id=f"other{number}", offer=offer)
        assert engine.facts == []
        for number in range(2):
            engine.forwarder.publish(connection_id=f"more{number}", source_id="source", offer=offer)
            assert engine.facts[number:] == [Closed(connection_id=f"p{number}", cause=CloseCause.NEVER_CONNECTED)]
