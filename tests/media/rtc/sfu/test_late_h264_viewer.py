"""Viewers of an H.264 publisher that sends its parameter sets once, or only in its offer, decode every keyframe."""

import base64
from collections.abc import Sequence

import av
import pytest

from stagebook.media.codecs.h264 import continues_nal_unit, nal_units
from stagebook.media.port import Connected
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from tests.media.rtc import encoded
from tests.media.rtc.packets import rtp
from tests.media.rtc.raw_peer import VIDEO_PAYLOAD_TYPE, RawPeer
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, wait_until

WIDTH, HEIGHT = 320, 240
FRAMES = encoded.encode(
    "libx264",
    width=WIDTH,
    height=HEIGHT,
    frames=6,
    options={"profile": "baseline", "bf": "0", "preset": "veryfast", "g": "1", "tune": "zerolatency"},
)
"""Six keyframes, each with its parameter sets."""
DELTA = b"\x61\x9a" + bytes(20)
SETS = [unit for unit in encoded.nal_units(FRAMES[0]) if unit[0] & 0x1F in (7, 8)]


def slices(frame: bytes) -> list[bytes]:
    """The payloads of a frame without its parameter sets."""
    return [payload for payload in encoded.h264_payloads(frame) if payload[0] & 0x1F not in (6, 7, 8)]


class Sender:
    """Sends frames as RTP packets with consecutive numbers."""

    def __init__(self, peer: RawPeer) -> None:
        self._peer = peer
        self.sequence = 100
        self.timestamp = 0

    async def send(self, payloads: Sequence[bytes]) -> None:
        for number, payload in enumerate(payloads):
            self.sequence += 1
            packet = rtp(
                payload,
                sequence=self.sequence,
                timestamp=self.timestamp,
                ssrc=SSRC,
                payload_type=VIDEO_PAYLOAD_TYPE,
                marker=number == len(payloads) - 1,
            )
            await self._peer.send_rtp(packet)
        self.timestamp += 3000


async def received_frames(viewer: RawPeer, count: int) -> list[av.VideoFrame]:
    """Receive packets until so many frames are complete, check their numbers, and decode them."""
    decoder = av.CodecContext.create("h264", "r")
    frames: list[av.VideoFrame] = []
    stream = b""
    previous: int | None = None
    while count:
        packet = await viewer.receive_rtp()
        assert previous is None or packet.sequence == (previous + 1) & 0xFFFF
        previous = packet.sequence
        if continues_nal_unit(packet.payload):
            stream += packet.payload[2:]
        for unit in nal_units(packet.payload):
            stream += b"\0\0\0\1" + unit
        if packet.marker:
            frames += decoder.decode(av.Packet(stream))
            stream = b""
            count -= 1
    return frames + decoder.decode(None)


async def add_viewer(engine: RunningEngine) -> RawPeer:
    viewer = await engine.viewer(codec="H264")
    await wait_until(lambda: Connected(connection_id="v") in engine.facts, "the viewer's connection")
    return viewer


async def test_a_late_viewer_decodes_a_stream_whose_sets_were_sent_once() -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher(codec="H264")
        sender = Sender(publisher)
        await wait_until(lambda: Connected(connection_id="p") in engine.facts, "the publisher's connection")
        await sender.send([*SETS, *slices(FRAMES[0])])
        entry = engine.forwarder._connections.get("p")
        assert entry is not None
        assert entry.publisher is not None
        incoming = entry.publisher.tracks[-1]
        await wait_until(lambda: incoming.current is not None and incoming.current.pixels > 0, "the first frame")
        viewer = await add_viewer(engine)
        for frame in FRAMES[1:]:
            await sender.send(slices(frame))
        frames = await received_frames(viewer, 5)
        assert [(frame.width, frame.height) for frame in frames][-1] == (WIDTH, HEIGHT)
        assert len(frames) == 5


async def test_a_viewer_decodes_a_stream_whose_sets_are_only_in_the_offer() -> None:
    async with running_engine() as engine:
        publisher = engine.raw_peer()
        sprop = ",".join(base64.b64encode(unit).decode() for unit in SETS)
        offer = publisher.offer("sendonly", codec="H264").replace(
            "profile-level-id=42e01f", f"profile-level-id=42e01f;sprop-parameter-sets={sprop}"
        )
        answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=offer)
        assert "sprop" not in answer.sdp
        await publisher.connect(answer.sdp, engine.forwarder.udp_port)
        viewer = await add_viewer(engine)
        sender = Sender(publisher)
        for frame in FRAMES[:3]:
            await sender.send(slices(frame))
        assert len(await received_frames(viewer, 3)) == 3


@pytest.mark.parametrize("lost", [0, 1])
async def test_kept_sets_are_not_sent_behind_a_lost_packet(lost: int) -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher(codec="H264")
        viewer = await add_viewer(engine)
        sender = Sender(publisher)
        await sender.send([*SETS, *slices(FRAMES[0])])
        payloads = [*SETS, *slices(FRAMES[1])]
        del payloads[lost]
        if lost == 0:
            sender.sequence += 1
            await sender.send(payloads)
        else:
            await sender.send(payloads[:1])
            sender.sequence += 1
            sender.timestamp -= 3000
            await sender.send(payloads[1:])
        await sender.send([DELTA] * 5)
        await sender.send(slices(FRAMES[2]))
        received: list[RtpPacket] = []
        while not received or received[-1].payload != slices(FRAMES[2])[-1]:
            received.append(await viewer.receive_rtp())
        aggregates = [packet for packet in received if packet.payload[0] & 0x1F == 24]
        assert len(aggregates) == 1
        assert aggregates[0].timestamp == received[-1].timestamp
        # The number of the lost packet is left free for its retransmission.
        numbers = [packet.sequence - received[0].sequence for packet in received]
        assert numbers == [number for number in range(len(numbers) + 1) if number != 4 + lost]
