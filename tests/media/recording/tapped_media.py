"""Generated media of a publisher as tapped frames: a flash and a beep at the start of each second."""

import math
from array import array
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import av

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.rtc import encoded

FRAMES_PER_SECOND = 30
PACKET_US = 20_000
_RATE = 48_000
_BEEP_SECONDS = 0.1


@cache
def second_of_pictures(width: int = 160, height: int = 96) -> tuple[bytes, ...]:
    """Return one second of H.264: a white keyframe and black pictures. It can be repeated."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, FRAMES_PER_SECOND), Fraction(FRAMES_PER_SECOND)
    context.options = {
        "profile": "baseline",
        "preset": "ultrafast",
        "tune": "zerolatency",
        "bf": "0",
        "sc_threshold": "0",
    }
    pictures = []
    for number in range(FRAMES_PER_SECOND):
        frame = av.VideoFrame(width, height, "yuv420p")
        for index, plane in enumerate(frame.planes):
            level = 128 if index else (235 if number < 3 else 16)
            plane.update(bytes([level]) * plane.buffer_size)
        frame.pts = number
        pictures += [bytes(packet) for packet in context.encode(frame)]
    return tuple(pictures + [bytes(packet) for packet in context.encode(None)])


def pictures(
    seconds: float,
    *,
    start_us: int = 0,
    width: int = 160,
    height: int = 96,
    keyframe_seconds: int = 1,
) -> Iterator[TappedFrame]:
    """Yield pictures. `keyframe_seconds` is the distance of keyframes; between them, the flash is missing."""
    second = second_of_pictures(width, height)
    for number in range(round(seconds * FRAMES_PER_SECOND)):
        index = number % FRAMES_PER_SECOND
        if index == 0 and number // FRAMES_PER_SECOND % keyframe_seconds:
            index = 1
        yield TappedFrame(
            kind=MediaKind.VIDEO,
            codec=Codec.H264,
            time_us=start_us + number * 1_000_000 // FRAMES_PER_SECOND,
            body=second[index],
            is_keyframe=index == 0,
        )


def beeps(seconds: float, *, drift_ppm: float = 0.0) -> bytes:
    """Return 16-bit samples with a beep at each second of the true time, by a clock that is too fast by `drift_ppm`."""
    samples = array("h", bytes(2 * round(seconds * _RATE * (1 + drift_ppm / 1e6))))
    for second in range(math.ceil(seconds)):
        start = round(second * _RATE * (1 + drift_ppm / 1e6))
        for index in range(round(_BEEP_SECONDS * _RATE)):
            if start + index < len(samples):
                samples[start + index] = round(20_000 * math.sin(2 * math.pi * 1_000 * index / _RATE))
    return samples.tobytes()


@cache
def opus_packets(seconds: float, drift_ppm: float) -> tuple[bytes, ...]:
    """Return the beeps as Opus packets of 20 ms."""
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format, context.bit_rate = _RATE, "mono", "s16", 32_000
    context.options = {"application": "lowdelay"}
    data, size = beeps(seconds, drift_ppm=drift_ppm), _RATE // 50 * 2
    packets: list[bytes] = []
    for position in range(0, len(data) - size + 1, size):
        frame = av.AudioFrame(format="s16", layout="mono", samples=_RATE // 50)
        frame.planes[0].update(data[position : position + size])
        frame.sample_rate, frame.pts, frame.time_base = _RATE, position // 2, Fraction(1, _RATE)
        packets += [bytes(packet) for packet in context.encode(frame)]
    return tuple(packets)


def sounds(seconds: float, *, start_us: int = 0, drift_ppm: float = 0.0) -> Iterator[TappedFrame]:
    """Yield Opus packets. With `drift_ppm`, the publisher samples too fast; the times of the packets are true."""
    for number, packet in enumerate(opus_packets(seconds, drift_ppm)):
        time_us = start_us + round(number * PACKET_US / (1 + drift_ppm / 1e6))
        yield TappedFrame(kind=MediaKind.AUDIO, codec=Codec.OPUS, time_us=time_us, body=packet, is_keyframe=True)


def vp8_picture(time_us: int = 0) -> TappedFrame:
    """Return a VP8 keyframe."""
    body = encoded.vp8(width=160, height=96, frames=1)[0]
    return TappedFrame(kind=MediaKind.VIDEO, codec=Codec.VP8, time_us=time_us, body=body, is_keyframe=True)


def interleaved(*streams: Iterator[TappedFrame]) -> list[TappedFrame]:
    """Return the frames of several streams in the order of time."""
    return sorted((frame for stream in streams for frame in stream), key=lambda frame: frame.time_us)
