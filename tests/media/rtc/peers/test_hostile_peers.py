"""Peers with a valid connection that send too much: the engine drops it, and other connections do not notice."""

from stagebook.media.port import CloseCause, Closed, Connected
from stagebook.media.rtc.rtp.rtcp_writer import write_nack
from stagebook.media.rtc.srtp.srtp_session import MAX_LEARNED_SSRCS
from tests.media.rtc.packets import rtp, vp8_delta
from tests.media.rtc.raw_peer import RawPeer
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, start_video, wait_until


async def receive_next(publisher: RawPeer, viewer: RawPeer, sequence: int) -> None:
    """Send a packet and wait until the viewer has it."""
    await publisher.send_rtp(rtp(vp8_delta(), sequence=sequence, ssrc=SSRC))
    assert (await viewer.receive_rtp()).payload == vp8_delta()


async def wait_until_quiet(engine: RunningEngine, dropped: int) -> None:
    statistics = engine.forwarder._transport.statistics
    await wait_until(lambda: statistics.unknown_ssrc_packets >= dropped, "the packets of unknown SSRCs")


async def test_a_publisher_with_many_ssrcs_reaches_libsrtp_with_few_of_them() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        for number in range(500):
            await publisher.send_rtp(rtp(vp8_delta(), sequence=number, ssrc=50_000 + number))
            if number % 100 == 99:
                # Not faster than the engine reads: the socket of the test must lose no packet.
                await wait_until_quiet(engine, number + 1 - MAX_LEARNED_SSRCS)
        # The SSRC that the publisher began with is one of the learned ones.
        assert engine.forwarder._transport.statistics.unknown_ssrc_packets == 500 - (MAX_LEARNED_SSRCS - 1)
        await receive_next(publisher, viewer, 11)


async def test_a_viewer_that_requests_thousands_of_packets_gets_its_share() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        # 300 items of one packet and the 16 after it: 5,100 requests in 1.2 KB.
        items = (first.sequence.to_bytes(2) + b"\xff\xff") * 300
        head = write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[])[4:]
        await viewer.send_rtcp(b"\x81\xcd" + (2 + 300).to_bytes(2) + head + items)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        resent = 0
        while (await viewer.receive_rtp()).ssrc != first.ssrc:
            resent += 1
        # Of the 17 packets that an item names, the source has sent one, which is sent again once in a round trip.
        assert resent == 1


async def test_a_close_notify_behind_application_data_ends_the_connection() -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher()
        await engine.wait_for(Connected(connection_id="p"))
        for _ in range(20):
            publisher._dtls.send(b"x" * 30)
        publisher._dtls.shutdown()
        await publisher.send_datagram(publisher._dtls.bio_read(2000))
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.PEER_CLOSED))
