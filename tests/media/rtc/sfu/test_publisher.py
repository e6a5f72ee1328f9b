"""RTCP feedback to a publisher: NACK, keyframe requests, reports, REMB, arrival times; and audio with redundancy."""

from typing import cast

import pytest

from stagebook.media.port import Connected
from stagebook.media.rtc.congestion.transport_feedback import read_arrivals
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.rtp.rtcp import EstimatedMaximum, KeyframeRequest, Nack, ReceiverReport, TransportFeedback
from stagebook.media.rtc.rtp.rtcp_writer import write_pli
from stagebook.media.rtc.sdp.header_extensions import TRANSPORT_SEQUENCE_URI
from stagebook.media.rtc.sfu.publisher_feedback import LIMIT_AFTER_SECONDS
from tests.media.rtc.packets import one_byte_extension, red, rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import AUDIO_PAYLOAD_TYPE, RED_PAYLOAD_TYPE, RTX_PAYLOAD_TYPE, RawPeer
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, start_video, wait_until

NUMBER_EXTENSION = 3


async def test_a_lost_packet_is_requested_by_nack_and_repaired_by_rtx() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        await publisher.send_rtp(rtp(b"\0after", sequence=12, timestamp=12000, ssrc=SSRC))
        await viewer.receive_rtp()
        nack = cast("Nack", await publisher.receive_rtcp(Nack))
        assert (nack.media_ssrc, list(nack.sequences())) == (SSRC, [11])
        original = (11).to_bytes(2, "big") + b"\0lost"
        await publisher.send_rtp(rtp(original, sequence=1, timestamp=9000, ssrc=2000, payload_type=RTX_PAYLOAD_TYPE))
        repaired = await viewer.receive_rtp()
        assert (repaired.payload, repaired.timestamp) == (b"\0lost", first.timestamp)
        assert repaired.sequence == (first.sequence + 1) & 0xFFFF
        # A second copy is dropped.
        await publisher.send_rtp(rtp(original, sequence=2, timestamp=9000, ssrc=2000, payload_type=RTX_PAYLOAD_TYPE))
        await publisher.send_rtp(rtp(b"\0next", sequence=13, timestamp=12000, ssrc=SSRC))
        assert (await viewer.receive_rtp()).payload == b"\0next"


async def test_a_nack_is_repeated_until_the_packet_arrives() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        await publisher.send_rtp(rtp(b"\0after", sequence=12, ssrc=SSRC))
        for _ in range(3):
            assert cast("Nack", await publisher.receive_rtcp(Nack)).items == b"\0\x0b\0\0"


async def test_keyframe_requests_of_viewers_are_merged() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        engine.skipped_seconds += 1
        for _ in range(20):
            await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))
        request = cast("KeyframeRequest", await publisher.receive_rtcp(KeyframeRequest))
        assert request.media_ssrcs == (SSRC,)
        engine.skipped_seconds += 1
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))
        await publisher.receive_rtcp(KeyframeRequest)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        await viewer.receive_rtp()
        more = [
            m for got in publisher.pending() if isinstance(got, list) for m in got if isinstance(m, KeyframeRequest)
        ]
        assert more == []


async def test_a_keyframe_is_requested_for_a_new_viewer() -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher()
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=1, ssrc=SSRC))
        await publisher.receive_rtcp(ReceiverReport)
        viewer = await engine.viewer()
        assert cast("KeyframeRequest", await publisher.receive_rtcp(KeyframeRequest)).media_ssrcs == (SSRC,)
        viewer.close()


async def test_receiver_reports_count_lost_packets() -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher()
        for sequence in (1, 2, 4):
            await publisher.send_rtp(rtp(vp8_keyframe(), sequence=sequence, ssrc=SSRC))
        report = cast("ReceiverReport", await publisher.receive_rtcp(ReceiverReport))
        while not report.blocks:
            report = cast("ReceiverReport", await publisher.receive_rtcp(ReceiverReport))
        (block,) = report.blocks
        assert (block.ssrc, block.packets_lost, block.fraction_lost, block.highest_sequence) == (SSRC, 1, 64, 4)


async def test_remb_is_sent_with_the_first_packet() -> None:
    async with running_engine(EngineSettings(max_bitrate_bps=1_000_000)) as engine:
        publisher = await engine.publisher(audio=False)
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=1, ssrc=SSRC))
        remb = await publisher.receive_rtcp_containing(b"REMB")
        assert remb[-4:] == SSRC.to_bytes(4, "big")
        rate = int.from_bytes(remb[-7:-4], "big")
        assert (rate & 0x3FFFF) << (rate >> 18) == pytest.approx(1_000_000, rel=0.001)


async def numbered_publisher(engine: RunningEngine) -> RawPeer:
    """Connect a publisher that numbers its packets for transport-wide feedback, and has RED."""
    return await engine.publisher(
        extra_video=(f"a=extmap:{NUMBER_EXTENSION} {TRANSPORT_SEQUENCE_URI}", "a=rtcp-fb:96 transport-cc"),
        extra_audio=(f"a=extmap:{NUMBER_EXTENSION} {TRANSPORT_SEQUENCE_URI}", "a=rtcp-fb:111 transport-cc"),
        red=True,
    )


def numbered(number: int, *, ssrc: int, sequence: int, payload_type: int = 96) -> bytes:
    """Return an RTP packet with a transport-wide number."""
    extension = one_byte_extension({NUMBER_EXTENSION: number.to_bytes(2, "big")})
    return rtp(vp8_delta(), extension=extension, ssrc=ssrc, sequence=sequence, payload_type=payload_type)


async def test_arrivals_of_all_streams_are_reported_to_a_publisher_that_numbers_its_packets() -> None:
    async with running_engine() as engine:
        publisher = await numbered_publisher(engine)
        streams = [
            {"ssrc": SSRC, "sequence": 1},
            {"ssrc": 2000, "sequence": 1, "payload_type": AUDIO_PAYLOAD_TYPE},
            {"ssrc": 3000, "sequence": 1, "payload_type": RTX_PAYLOAD_TYPE},
            {"ssrc": SSRC, "sequence": 2},
        ]
        for number, fields in zip((65534, 65535, 0, 2), streams, strict=True):
            await publisher.send_rtp(numbered(number, **fields))
        arrived: set[int] = set()
        lost: set[int] = set()
        while len(arrived) < len(streams):
            message = cast("TransportFeedback", await publisher.receive_rtcp(TransportFeedback))
            read = read_arrivals(message.body)
            assert read is not None
            for position, tick in enumerate(read.ticks):
                (lost if tick is None else arrived).add(read.first + position & 0xFFFF)
        assert (arrived, lost) == ({65534, 65535, 0, 2}, {1})


def limits_of(publisher: RawPeer) -> list[EstimatedMaximum]:
    """Return the REMBs that have arrived."""
    messages = [message for got in publisher.pending() if isinstance(got, list) for message in got]
    return [message for message in messages if isinstance(message, EstimatedMaximum)]


async def test_a_publisher_that_numbers_its_packets_is_told_its_bitrate_limit_after_a_while() -> None:
    async with running_engine(EngineSettings(max_bitrate_bps=1_000_000)) as engine:
        publisher = await numbered_publisher(engine)
        await publisher.send_rtp(numbered(1, ssrc=SSRC, sequence=1))
        # The estimate of the engine would fall with this loss.
        await publisher.send_rtp(numbered(2, ssrc=SSRC, sequence=100))
        await publisher.receive_rtcp(ReceiverReport)
        assert limits_of(publisher) == []
        engine.skipped_seconds += LIMIT_AFTER_SECONDS
        limit = cast("EstimatedMaximum", await publisher.receive_rtcp(EstimatedMaximum))
        assert limit.bitrate_bps == pytest.approx(1_000_000, rel=0.001)


async def test_a_frame_that_is_repeated_in_red_repairs_the_audio_of_a_lost_packet() -> None:
    async with running_engine() as engine:
        publisher, viewer = await numbered_publisher(engine), await engine.viewer()
        await wait_until(lambda: Connected(connection_id="v") in engine.facts, "the viewer's connection")
        for sequence, payload in (
            (10, red(b"ten")),
            (11, red(b"eleven", [(960, b"ten")])),
            (13, red(b"thirteen", [(1920, b"eleven"), (960, b"twelve")])),
        ):
            await publisher.send_rtp(
                rtp(payload, payload_type=RED_PAYLOAD_TYPE, ssrc=5, sequence=sequence, timestamp=sequence * 960)
            )
        packets = [await viewer.receive_rtp() for _ in range(4)]
        first = packets[0]
        assert [
            (packet.sequence - first.sequence, packet.timestamp - first.timestamp, packet.payload) for packet in packets
        ] == [(0, 0, b"ten"), (1, 960, b"eleven"), (3, 2880, b"thirteen"), (2, 1920, b"twelve")]
        assert {packet.payload_type for packet in packets} == {AUDIO_PAYLOAD_TYPE}


async def test_lost_audio_is_requested_from_a_publisher_that_offers_nack_for_it() -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher(extra_audio=(f"a=rtcp-fb:{AUDIO_PAYLOAD_TYPE} nack",))
        viewer = await engine.viewer()
        await wait_until(lambda: Connected(connection_id="v") in engine.facts, "the viewer's connection")
        for sequence in (10, 12):
            await publisher.send_rtp(rtp(b"frame", payload_type=AUDIO_PAYLOAD_TYPE, ssrc=5, sequence=sequence))
        nack = cast("Nack", await publisher.receive_rtcp(Nack))
        assert (nack.media_ssrc, list(nack.sequences())) == (5, [11])
        # The same packet again: without RTX there is no other stream.
        await publisher.send_rtp(rtp(b"lost", payload_type=AUDIO_PAYLOAD_TYPE, ssrc=5, sequence=11))
        assert [(await viewer.receive_rtp()).payload for _ in range(3)] == [b"frame", b"frame", b"lost"]
