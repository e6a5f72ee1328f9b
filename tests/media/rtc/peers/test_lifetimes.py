"""How connections start and end: take-over, close_notify, loss of consent, timeouts, wrong certificates."""

import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.port import CloseCause, Closed, Connected, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine_settings import EngineSettings
from tests.media.rtc.peers.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.media.rtc.running_engine import running_engine, wait_until


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
async def test_viewers_stay_when_the_publisher_reconnects(codec: Codec) -> None:
    async with running_engine() as engine:
        first = AiortcPublisher(engine, "p1", codec=codec)
        await first.publish()
        viewer = AiortcViewer(engine, "v")
        await viewer.subscribe()
        await viewer.wait_for_media()
        second = AiortcPublisher(engine, "p2", codec=codec, width=640, height=480)
        await second.publish()
        await engine.wait_for(Connected(connection_id="p2"))
        await viewer.wait_for_media()
        await wait_until(lambda: viewer.observer.size == (640, 480), "frames of the second publisher")
        await viewer.wait_for_frames(20)
        closed = [fact for fact in engine.facts if isinstance(fact, Closed)]
        assert closed == [Closed(connection_id="p1", cause=CloseCause.REPLACED)]
        await wait_until(
            lambda: first.connection.connectionState == "closed", "the close_notify to the first publisher"
        )
        await second.leave()
        await viewer.leave()


async def test_viewers_are_closed_when_the_publisher_reconnects_with_another_codec() -> None:
    async with running_engine() as engine:
        first = AiortcPublisher(engine, "p1", codec=Codec.VP8)
        await first.publish()
        viewer = AiortcViewer(engine, "v")
        await viewer.subscribe()
        await viewer.wait_for_media()
        second = AiortcPublisher(engine, "p2", codec=Codec.H264)
        await second.publish()
        await engine.wait_for(Closed(connection_id="v", cause=CloseCause.SOURCE_CHANGED))
        again = AiortcViewer(engine, "v2")
        await again.subscribe()
        await again.wait_for_media()
        for peer in (first, second, viewer, again):
            await peer.leave()


async def test_a_peer_that_sends_close_notify_is_reported_closed_once() -> None:
    async with running_engine() as engine:
        publisher = AiortcPublisher(engine, "p")
        await publisher.publish()
        await engine.wait_for(Connected(connection_id="p"))
        # The peer's own handshake may end later, and before that it cannot send close_notify.
        await wait_until(lambda: publisher.connection.connectionState == "connected", "the peer's own connection")
        await publisher.leave()
        closed = Closed(connection_id="p", cause=CloseCause.PEER_CLOSED)
        await engine.wait_for(closed)
        assert engine.facts.count(closed) == 1


async def test_a_peer_without_network_loses_consent() -> None:
    # aioice sends a check every five seconds, so the timeout must be longer.
    async with running_engine(EngineSettings(consent_timeout_seconds=7)) as engine:
        publisher, viewer = AiortcPublisher(engine, "p"), AiortcViewer(engine, "v")
        await publisher.publish()
        await viewer.subscribe()
        await viewer.wait_for_media()
        await publisher.drop_network()
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.CONSENT_LOST))
        assert not any(isinstance(fact, Closed) and fact.connection_id == "v" for fact in engine.facts)
        await viewer.leave()


async def test_a_peer_that_does_not_connect_in_time_is_closed() -> None:
    async with running_engine(EngineSettings(connect_timeout_seconds=0.2)) as engine:
        publisher = AiortcPublisher(engine, "p")
        engine.forwarder.publish(connection_id="p", source_id="source", offer=await publisher.make_offer())
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.NEVER_CONNECTED))
        await publisher.leave()


async def test_a_certificate_without_the_offered_fingerprint_is_refused() -> None:
    async with running_engine() as engine:
        publisher = AiortcPublisher(engine, "p")
        offer = await publisher.make_offer()
        offered = next(line for line in offer.splitlines() if line.startswith("a=fingerprint:sha-256"))
        forged = offered[:-2] + ("00" if offered[-2:] != "00" else "11")
        lines = [forged if line == offered else line for line in offer.splitlines() if "sha-512" not in line]
        offer = "\r\n".join(line for line in lines if "sha-384" not in line) + "\r\n"
        answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=offer)
        await publisher.take_answer(answer.sdp)
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.TRANSPORT_FAILED))
        assert Connected(connection_id="p") not in engine.facts
        await publisher.leave()


async def test_end_source_closes_all_connections_without_a_fact() -> None:
    async with running_engine() as engine:
        publisher, viewer, late = AiortcPublisher(engine, "p"), AiortcViewer(engine, "v"), AiortcViewer(engine, "w")
        await publisher.publish()
        await viewer.subscribe()
        await viewer.wait_for_media()
        engine.forwarder.end_source(source_id="source")
        await wait_until(lambda: publisher.connection.connectionState == "closed", "the close_notify to the publisher")
        await wait_until(lambda: viewer.connection.connectionState == "closed", "the close_notify to the viewer")
        assert not any(isinstance(fact, Closed) for fact in engine.facts)
        with pytest.raises(MediaRefusedError) as refused:
            engine.forwarder.subscribe(connection_id="w", source_id="source", offer=await late.make_offer())
        await late.leave()
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
