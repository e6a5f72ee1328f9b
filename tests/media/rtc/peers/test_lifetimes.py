"""How connections begin and end: take-over, goodbye, silence, and peers that are not who they said they are."""

import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.port import CloseCause, Closed, Connected, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from tests.media.rtc.peers.peers import PublishingPeer, WatchingPeer
from tests.media.rtc.running_engine import running_engine, wait_until


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
async def test_a_publisher_that_comes_back_keeps_its_viewers(codec: Codec) -> None:
    async with running_engine() as engine:
        first = PublishingPeer(engine, "p1", codec=codec)
        await first.publish()
        viewer = WatchingPeer(engine, "v")
        await viewer.subscribe()
        await viewer.wait_for_media()
        second = PublishingPeer(engine, "p2", codec=codec, width=640, height=480)
        await second.publish()
        await engine.wait_for(Connected(connection_id="p2"))
        await viewer.wait_for_media()
        await wait_until(lambda: viewer.observer.size == (640, 480), "pictures of the second publisher")
        await viewer.wait_for_pictures(20)
        assert not any(isinstance(fact, Closed) for fact in engine.facts)
        await wait_until(lambda: first.connection.connectionState == "closed", "goodbye to the first publisher")
        await second.leave()
        await viewer.leave()


async def test_a_publisher_that_comes_back_with_another_codec_ends_its_viewers() -> None:
    async with running_engine() as engine:
        first = PublishingPeer(engine, "p1", codec=Codec.VP8)
        await first.publish()
        viewer = WatchingPeer(engine, "v")
        await viewer.subscribe()
        await viewer.wait_for_media()
        second = PublishingPeer(engine, "p2", codec=Codec.H264)
        await second.publish()
        await engine.wait_for(Closed(connection_id="v", cause=CloseCause.SOURCE_CHANGED))
        again = WatchingPeer(engine, "v2")
        await again.subscribe()
        await again.wait_for_media()
        for peer in (first, second, viewer, again):
            await peer.leave()


async def test_a_peer_that_says_goodbye_is_closed_once() -> None:
    async with running_engine() as engine:
        publisher = PublishingPeer(engine, "p")
        await publisher.publish()
        await engine.wait_for(Connected(connection_id="p"))
        # Its own end may take a moment longer, and until then it has nothing to say goodbye by.
        await wait_until(lambda: publisher.connection.connectionState == "connected", "the peer's own connection")
        await publisher.leave()
        closed = Closed(connection_id="p", cause=CloseCause.PEER_CLOSED)
        await engine.wait_for(closed)
        assert engine.facts.count(closed) == 1


async def test_a_peer_that_vanishes_is_noticed_by_its_consent() -> None:
    # aioice checks every five seconds: the limit must be above that.
    async with running_engine(EngineSettings(consent_timeout_seconds=7)) as engine:
        publisher, viewer = PublishingPeer(engine, "p"), WatchingPeer(engine, "v")
        await publisher.publish()
        await viewer.subscribe()
        await viewer.wait_for_media()
        await publisher.vanish()
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.CONSENT_LOST))
        assert not any(isinstance(fact, Closed) and fact.connection_id == "v" for fact in engine.facts)
        await viewer.leave()


async def test_a_peer_that_never_comes_is_given_up() -> None:
    async with running_engine(EngineSettings(connect_timeout_seconds=0.2)) as engine:
        publisher = PublishingPeer(engine, "p")
        engine.forwarder.publish(connection_id="p", source_id="source", offer=await publisher.make_offer())
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.NEVER_CONNECTED))
        await publisher.leave()


async def test_a_certificate_that_the_offer_did_not_promise_is_refused() -> None:
    async with running_engine() as engine:
        publisher = PublishingPeer(engine, "p")
        offer = await publisher.make_offer()
        promised = next(line for line in offer.splitlines() if line.startswith("a=fingerprint:sha-256"))
        forged = promised[:-2] + ("00" if promised[-2:] != "00" else "11")
        lines = [forged if line == promised else line for line in offer.splitlines() if "sha-512" not in line]
        offer = "\r\n".join(line for line in lines if "sha-384" not in line) + "\r\n"
        answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=offer)
        await publisher.take_answer(answer.sdp)
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.TRANSPORT_FAILED))
        assert Connected(connection_id="p") not in engine.facts
        await publisher.leave()


async def test_ending_a_source_says_goodbye_to_everybody_and_tells_nobody() -> None:
    async with running_engine() as engine:
        publisher, viewer, late = PublishingPeer(engine, "p"), WatchingPeer(engine, "v"), WatchingPeer(engine, "w")
        await publisher.publish()
        await viewer.subscribe()
        await viewer.wait_for_media()
        engine.forwarder.end_source(source_id="source")
        await wait_until(lambda: publisher.connection.connectionState == "closed", "goodbye to the publisher")
        await wait_until(lambda: viewer.connection.connectionState == "closed", "goodbye to the viewer")
        assert not any(isinstance(fact, Closed) for fact in engine.facts)
        with pytest.raises(MediaRefusedError) as refused:
            engine.forwarder.subscribe(connection_id="w", source_id="source", offer=await late.make_offer())
        await late.leave()
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
