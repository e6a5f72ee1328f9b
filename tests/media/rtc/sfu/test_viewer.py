"""RTP and RTCP to a viewer: the start, its own sequence numbers, retransmission, sender reports."""

from typing import cast

from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.rtcp_writer import write_nack, write_sender_report
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.viewer import MAX_RESENDS_AT_ONCE
from tests.media.rtc.packets import one_byte_extension, rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RTX_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE
from tests.media.rtc.running_engine import SSRC, running_engine, start_video


async def test_a_viewer_starts_with_a_keyframe_and_gets_its_own_sequence_numbers() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await publisher.send_rtp(rtp(vp8_delta(), sequence=9, timestamp=6000, ssrc=SSRC))
        first = await start_video(engine, publisher, viewer)
        assert first.payload == vp8_keyframe()
        assert first.ssrc != SSRC
        assert first.payload_type == VIDEO_PAYLOAD_TYPE
        await publisher.send_rtp(rtp(vp8_delta(), sequence=12, timestamp=12000, ssrc=SSRC, marker=True))
        second = await viewer.receive_rtp()
        # The gap of one packet is kept, so that the viewer notices the loss.
        assert (second.sequence - first.sequence) & 0xFFFF == 2
        assert second.timestamp - first.timestamp == 3000
        assert (second.ssrc, second.marker) == (first.ssrc, 1)


async def test_the_publishers_header_extensions_are_not_forwarded() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        secret = one_byte_extension({3: b"secret"})
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC, extension=secret))
        packet = await viewer.receive_rtp()
        assert (packet.payload, packet.extension) == (vp8_delta(), b"")


async def test_a_nack_is_answered_by_rtx() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence]))
        again = await viewer.receive_rtp()
        assert again.payload_type == RTX_PAYLOAD_TYPE
        assert again.ssrc != first.ssrc
        assert again.payload == first.sequence.to_bytes(2, "big") + first.payload
        assert again.timestamp == first.timestamp


async def test_without_rtx_a_nack_is_answered_by_the_original_packet() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), engine.raw_peer()
        answer = engine.forwarder.subscribe(
            connection_id="v", source_id="source", offer=viewer.offer("recvonly", rtx=False)
        )
        await viewer.connect(answer.sdp, engine.forwarder.udp_port)
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=10, ssrc=SSRC))
        first = await viewer.receive_datagram()
        packet = viewer.unprotect(first)
        assert isinstance(packet, RtpPacket)
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=packet.ssrc, sequences=[packet.sequence]))
        # The encrypted datagram must be identical: SRTP must not use a nonce for two different packets.
        again = await viewer.receive_datagram()
        while again != first:
            again = await viewer.receive_datagram()


async def test_sender_reports_are_rewritten_for_each_viewer() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        for ntp, timestamp in ((5 << 32, 9000), (6 << 32, 99000)):
            await publisher.send_rtcp(
                write_sender_report(
                    ssrc=SSRC, ntp=ntp, rtp_timestamp=timestamp, packets=77, octets=7777, cname=b"hidden"
                )
            )
        one = cast("SenderReport", await viewer.receive_rtcp(SenderReport))
        two = cast("SenderReport", await viewer.receive_rtcp(SenderReport))
        assert (one.ssrc, one.packets, one.octets) == (first.ssrc, 1, len(first.payload))
        assert one.rtp_timestamp == first.timestamp
        assert two.rtp_timestamp - one.rtp_timestamp == 90000
        assert two.ntp - one.ntp == 1 << 32


async def test_retransmissions_to_a_viewer_are_limited() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        item = first.sequence.to_bytes(2, "big") + b"\0\0"
        head = write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[])[4:]
        for _ in range(2):
            # One NACK message that lists the same packet 250 times.
            await viewer.send_rtcp(b"\x81\xcd" + (2 + 250).to_bytes(2, "big") + head + item * 250)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        again = 0
        while (await viewer.receive_rtp()).ssrc != first.ssrc:
            again += 1
        # The allowance grows a little while the test runs.
        assert MAX_RESENDS_AT_ONCE <= again < 500
