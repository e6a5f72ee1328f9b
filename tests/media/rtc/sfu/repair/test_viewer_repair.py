"""What a raw peer that negotiated transport-wide feedback is sent: numbers, retransmissions, probes."""

from stagebook.media.port import Connected
from stagebook.media.rtc.congestion.bandwidth_probe import BURSTS, MIN_BURST_BYTES
from stagebook.media.rtc.rtp.rtcp_writer import write_nack
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, extension_value
from stagebook.media.rtc.sdp.header_extensions import TRANSPORT_SEQUENCE_URI
from stagebook.media.rtc.sfu.viewer import Viewer
from tests.media.rtc.congestion.feedback_writer import write_arrivals, write_transport_feedback
from tests.media.rtc.packets import rtp, vp8_delta
from tests.media.rtc.raw_peer import RTX_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE, RawPeer
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, start_video, wait_until

EXTENSION = 3
COUNTED = (f"a=extmap:{EXTENSION} {TRANSPORT_SEQUENCE_URI}", f"a=rtcp-fb:{VIDEO_PAYLOAD_TYPE} transport-cc")


def transport_number(packet: RtpPacket) -> int:
    value = extension_value(packet.extension, EXTENSION)
    assert value is not None
    return int.from_bytes(value)


def viewer_of(engine: RunningEngine) -> Viewer:
    return engine.forwarder._sources["source"].viewers["v"]


async def report(peer: RawPeer, packets: list[RtpPacket], *, ticks: int = 40) -> None:
    """Report these packets, which arrive one after another in so many ticks of 0.25 ms."""
    first = transport_number(packets[0])
    body = write_arrivals(first, [10_000 + index * ticks for index in range(len(packets))])
    await peer.send_rtcp(write_transport_feedback(body))


async def test_packets_of_all_kinds_are_counted() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer(extra_video=COUNTED)
        first = await start_video(engine, publisher, viewer)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC, marker=True))
        second = await viewer.receive_rtp()
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence]))
        again = await viewer.receive_rtp()
        assert again.payload_type == RTX_PAYLOAD_TYPE
        assert [transport_number(packet) for packet in (first, second, again)] == [0, 1, 2]
        assert viewer_of(engine).repair.resent_packets == 1


async def test_feedback_makes_an_estimate() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer(extra_video=COUNTED)
        first = await start_video(engine, publisher, viewer)
        bandwidth = viewer_of(engine).bandwidth
        assert bandwidth.estimate_bps is None
        await report(viewer, [first])
        # An answered NACK shows that the feedback before it has been read.
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence]))
        await viewer.receive_rtp()
        assert bandwidth.estimate_bps is not None


async def test_nothing_is_sent_again_while_the_video_is_paused() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer(extra_video=COUNTED)
        first = await start_video(engine, publisher, viewer)
        watching = viewer_of(engine)
        assert watching.video is not None
        watching.video.pause(engine.forwarder._clock())
        nack = write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence])
        await viewer.send_rtcp(nack)
        await wait_until(lambda: engine.forwarder._counters.nacked_packets == 1, "the NACK")
        assert watching.repair.resent_packets == 0


async def test_without_the_extension_nothing_is_counted() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer(extra_video=COUNTED[1:])
        first = await start_video(engine, publisher, viewer)
        assert first.extension == b""
        assert viewer_of(engine).bandwidth.send_side is None


async def test_a_better_layer_is_probed_with_packets_that_the_viewer_has() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer(extra_video=COUNTED)
        first = await start_video(engine, publisher, viewer)
        bandwidth = viewer_of(engine).bandwidth
        assert bandwidth.send_side is not None
        await report(viewer, [first])
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence]))
        sent = [await viewer.receive_rtp()]
        bandwidth.send_side.rates.bitrate_bps = 100_000.0
        probe = bandwidth.send_side.probe
        assert not bandwidth.may_raise(400_000, engine.forwarder._clock())
        await wait_until(lambda: not probe.is_sending, "the end of the probe")
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC, marker=True))
        while (packet := await viewer.receive_rtp()).payload_type == RTX_PAYLOAD_TYPE:
            sent.append(packet)
        assert {packet.payload[2:] for packet in sent} == {first.payload, b""}
        assert [transport_number(packet) for packet in sent] == list(range(1, 1 + len(sent)))
        assert probe.padding_bytes == BURSTS * MIN_BURST_BYTES


async def test_padding_without_a_packet_that_could_be_repeated_is_padding_alone() -> None:
    async with running_engine() as engine:
        await engine.publisher()
        viewer = await engine.viewer(extra_video=COUNTED)
        repair = viewer_of(engine).repair
        await engine.wait_for(Connected(connection_id="v"))
        repair.send_padding(1000, 0.0)
        packet = await viewer.receive_rtp()
        assert packet.payload_type == RTX_PAYLOAD_TYPE
        assert packet.payload == b""
        assert transport_number(packet) == 0
        assert repair.padding_packets == 5


async def test_a_narrow_line_is_not_filled_with_what_came_before_the_smaller_layer() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer(extra_video=COUNTED)
        first = await start_video(engine, publisher, viewer)
        watching = viewer_of(engine)
        assert watching.video is not None
        now = engine.forwarder._clock()
        watching.video._moved_first, watching.video._moved_at = (first.sequence + 1) & 0xFFFF, now
        watching.bandwidth.reports.decreased_at = now
        nack = write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence])
        await viewer.send_rtcp(nack)
        await wait_until(lambda: engine.forwarder._counters.nacked_packets == 1, "the NACK")
        assert watching.repair.resent_packets == 0
        engine.skipped_seconds += 3
        await viewer.send_rtcp(nack)
        await viewer.receive_rtp()
        assert watching.repair.resent_packets == 1
