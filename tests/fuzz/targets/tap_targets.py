"""What a tapped publisher sends: packets in any order, and the payloads of video. Nothing raises."""

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.rtp.rtp_packet import HEADER
from stagebook.media.rtc.sfu.relay.relay_messages import PacketRelayed, ReportRelayed
from stagebook.media.tap.access_unit_builder import AccessUnitBuilder
from stagebook.media.tap.frame_builder import FrameBuilder
from stagebook.media.tap.packet_order import MediaPacket
from stagebook.media.tap.vp8_builder import Vp8Builder
from tests.fuzz.fuzz_target import FuzzTarget, join_sized, split_sized
from tests.media.tap.sent_packets import h264_frames, payloads_of, vp8_frames
from tests.media.tap.tapped_publisher import AUDIO_TYPE, RED_TYPE, TappedPublisher

_MAX_BYTES = 4_000


def _check_builder(builder: FrameBuilder, data: bytes) -> None:
    """Build frames of payloads, each behind a byte with its marker and timestamp.

    A frame is no larger than what came, with a start code for each NAL unit and the parameter sets again.
    """
    size_bytes = 0
    for part in split_sized(data):
        head = part[0] if part else 0
        size_bytes += len(part)
        waited = builder.waits_for_keyframe
        for frame in builder.add(MediaPacket(head >> 2, head & 1, part[1:])):
            assert len(frame.body) <= 5 * size_bytes + 1_000
            assert frame.is_keyframe or not waited
            waited = False
        if head & 2:
            builder.lose()
            assert builder.waits_for_keyframe


def check_access_units(data: bytes) -> None:
    """H.264 in packets that are in order."""
    _check_builder(AccessUnitBuilder(), data)


def check_vp8_frames(data: bytes) -> None:
    """VP8 in packets that are in order."""
    _check_builder(Vp8Builder(), data)


def check_tapped_packets(data: bytes) -> None:
    """RTP packets and RTCP compounds, with time between them. Frames come in the order of their times."""
    publisher = TappedPublisher()
    for part in split_sized(data, most=24):
        if part[:1] >= b"\xf0":
            publisher.tap.receive(ReportRelayed(compound=part[1:]), publisher.now)
        else:
            publisher.tap.receive(PacketRelayed(packet=part[1:]), publisher.now)
        publisher.now += (part[0] if part else 0) / 100
    publisher.pass_time(2)
    for frames in (publisher.video, publisher.audio):
        times = [frame.time_us for frame in frames]
        assert times == sorted(set(times))


def _with_heads(payloads: list[bytes]) -> bytes:
    return join_sized([bytes([int(payload is payloads[-1])]) + payload for payload in payloads])


def _packets(payload_type: int, payloads: list[bytes]) -> list[bytes]:
    return [
        b"\1" + HEADER.pack(0x80, (payload is payloads[-1]) << 7 | payload_type, number, 0, payload_type) + payload
        for number, payload in enumerate(payloads)
    ]


_H264 = payloads_of(Codec.H264, h264_frames(2, 64, 64)[0])
_VP8 = payloads_of(Codec.VP8, vp8_frames(2, 64, 64)[0])

TARGETS = (
    FuzzTarget(name="tapped-h264", check=check_access_units, max_size_bytes=_MAX_BYTES, seeds=(_with_heads(_H264),)),
    FuzzTarget(name="tapped-vp8", check=check_vp8_frames, max_size_bytes=_MAX_BYTES, seeds=(_with_heads(_VP8),)),
    FuzzTarget(
        name="tapped-packets",
        check=check_tapped_packets,
        max_size_bytes=_MAX_BYTES,
        seeds=(
            join_sized([*_packets(96, _H264), *_packets(AUDIO_TYPE, [b"a", b"b"])]),
            join_sized([*_packets(98, _VP8), *_packets(RED_TYPE, [bytes([AUDIO_TYPE]) + b"a"])]),
        ),
    ),
)
