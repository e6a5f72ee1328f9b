"""The clips that the participants of a composition send, as a tap hands them on. They are encoded beforehand."""

from fractions import Fraction

import av
import msgspec
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.tap.tapped_frame import TappedFrame

FRAMES_PER_SECOND = 30
SECONDS = 8
_GOP = 60
_SAMPLE_RATE = 48_000
_PACKET_SAMPLES = 960


def make_clip(width: int, height: int, *, is_blinking: bool = False) -> list[TappedFrame]:
    """Return SECONDS of H.264 and Opus in the order of their times: motion everywhere, or, with `is_blinking`, black
    for the first half and white for the second."""
    size = f"size={width}x{height}:rate={FRAMES_PER_SECOND}"
    moving, blinking = f"testsrc2={size},noise=alls=12:allf=t", f"color=black:{size}"
    if is_blinking:
        blinking += f",drawbox=color=white:t=fill:enable='gte(n,{SECONDS * FRAMES_PER_SECOND // 2})'"
    frames = [*_pictures(blinking if is_blinking else moving, width, height), *_sound()]
    return sorted(frames, key=lambda frame: frame.time_us)


def later(frame: TappedFrame, rounds: int) -> TappedFrame:
    """Return a frame of the clip when it is sent for the n-th time, from 0."""
    return msgspec.structs.replace(frame, time_us=frame.time_us + rounds * SECONDS * 1_000_000)


def _pictures(video_filter: str, width: int, height: int) -> list[TappedFrame]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.gop_size = width, height, "yuv420p", _GOP
    encoder.time_base, encoder.framerate = Fraction(1, FRAMES_PER_SECOND), Fraction(FRAMES_PER_SECOND)
    encoder.bit_rate = 2 * width * height
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "profile": "baseline"}
    made = []
    with av.open(video_filter, format="lavfi") as source:
        for number, frame in zip(range(SECONDS * FRAMES_PER_SECOND), source.decode(video=0), strict=False):
            assert isinstance(frame, VideoFrame)
            picture = frame.reformat(format="yuv420p")
            picture.pts, picture.time_base, picture.pict_type = number, encoder.time_base, 0
            made += [
                TappedFrame(
                    kind=MediaKind.VIDEO,
                    codec=Codec.H264,
                    time_us=number * 1_000_000 // FRAMES_PER_SECOND,
                    body=bytes(packet),
                    is_keyframe=packet.is_keyframe,
                )
                for packet in encoder.encode(picture)
            ]
    return made


def _sound() -> list[TappedFrame]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = _SAMPLE_RATE, "stereo", "flt"
    tone = (
        f"sine=frequency=440:sample_rate={_SAMPLE_RATE}:samples_per_frame={_PACKET_SAMPLES},"
        "aformat=sample_fmts=flt:channel_layouts=stereo"
    )
    made = []
    count = SECONDS * _SAMPLE_RATE // _PACKET_SAMPLES
    with av.open(tone, format="lavfi") as source:
        for number, frame in zip(range(count), source.decode(audio=0), strict=False):
            assert isinstance(frame, AudioFrame)
            made += [
                TappedFrame(
                    kind=MediaKind.AUDIO,
                    codec=Codec.OPUS,
                    time_us=number * 20_000,
                    body=bytes(packet),
                    is_keyframe=True,
                )
                for packet in encoder.encode(frame)
            ]
    return made
