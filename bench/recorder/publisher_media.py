"""The media of a publisher: 720p30 H.264 and Opus, encoded once and repeated."""

from collections.abc import Iterator
from fractions import Fraction

import av
import msgspec
import numpy as np

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.tap.tapped_frame import TappedFrame

GOP_SECONDS = 6
_FRAMES_PER_SECOND = 30
_PACKET_SECONDS = 0.02


def publisher_frames(pictures: list[bytes], packets: list[bytes], seconds: int) -> Iterator[TappedFrame]:
    """Yield the frames of a publisher in the order of time. The media is repeated."""
    picture = TappedFrame(kind=MediaKind.VIDEO, codec=Codec.H264, time_us=0, body=b"", is_keyframe=False)
    packet = TappedFrame(kind=MediaKind.AUDIO, codec=Codec.OPUS, time_us=0, body=b"", is_keyframe=True)
    shown = 0
    for index in range(round(seconds / _PACKET_SECONDS)):
        time_us = round(index * _PACKET_SECONDS * 1_000_000)
        while pictures and shown * 1_000_000 // _FRAMES_PER_SECOND <= time_us:
            body = pictures[shown % len(pictures)]
            yield msgspec.structs.replace(
                picture,
                time_us=shown * 1_000_000 // _FRAMES_PER_SECOND,
                body=body,
                is_keyframe=shown % len(pictures) == 0,
            )
            shown += 1
        yield msgspec.structs.replace(packet, time_us=time_us, body=packets[index % len(packets)])


def encode_pictures() -> list[bytes]:
    """Encode one group of pictures."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.bit_rate = 1280, 720, "yuv420p", 2_500_000
    context.time_base, context.framerate = Fraction(1, _FRAMES_PER_SECOND), Fraction(_FRAMES_PER_SECOND)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "1000", "bf": "0", "sc_threshold": "0"}
    noise = np.random.default_rng(1).integers(16, 235, (1080, 1280), dtype=np.uint8)
    encoded = []
    for index in range(_FRAMES_PER_SECOND * GOP_SECONDS):
        frame = av.VideoFrame.from_ndarray(np.roll(noise, index * 4, axis=1), format="yuv420p")
        frame.pts = index
        encoded += [bytes(packet) for packet in context.encode(frame)]
    return encoded


def encode_packets() -> list[bytes]:
    """Encode ten seconds of sound."""
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format, context.bit_rate = 48_000, "stereo", "flt", 64_000
    times = np.arange(480_000, dtype=np.float32) / 48_000
    tone = (np.sin(2 * np.pi * 220 * times) + np.sin(2 * np.pi * 1_760 * times)) * 0.2
    tone += np.random.default_rng(1).normal(0, 0.02, tone.size).astype(np.float32)
    samples = np.repeat(tone.astype(np.float32), 2).reshape(1, -1)
    encoded = []
    for first in range(0, samples.shape[1], 1_920):
        chunk = np.ascontiguousarray(samples[:, first : first + 1_920])
        frame = av.AudioFrame.from_ndarray(chunk, format="flt", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, first // 2, Fraction(1, 48_000)
        encoded += [bytes(packet) for packet in context.encode(frame)]
    return encoded
