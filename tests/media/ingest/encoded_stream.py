"""Encoded test streams as RTMP messages: encoded and muxed to FLV with FFmpeg's libraries, then split into messages."""

import io
import math
from array import array
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache

import av
import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.pipeline.media_pipeline import MediaPipeline
from stagebook.media.media_bus import Unit

FRAMES_PER_SECOND = 30
AAC_SAMPLES = 1_024
_FLV_HEADER_BYTES = 13
_TAG_HEADER_BYTES = 11
_KINDS = {8: MediaKind.AUDIO, 9: MediaKind.VIDEO}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One audio or video message, the input of the pipeline."""

    kind: MediaKind
    timestamp_ms: int
    payload: bytes

    @property
    def is_configuration(self) -> bool:
        """Whether the message is a sequence header."""
        return self.payload[1] == 0


def messages(flv: bytes) -> Iterator[Message]:
    """Split an FLV file into its audio and video tags (Adobe FLV 10.1, annex E.4.1)."""
    position = _FLV_HEADER_BYTES
    while position + _TAG_HEADER_BYTES <= len(flv):
        size = int.from_bytes(flv[position + 1 : position + 4])
        timestamp_ms = int.from_bytes(flv[position + 7 : position + 8] + flv[position + 4 : position + 7])
        start = position + _TAG_HEADER_BYTES
        if kind := _KINDS.get(flv[position]):
            yield Message(kind=kind, timestamp_ms=timestamp_ms, payload=flv[start : start + size])
        position = start + size + 4


def run_pipeline(pipeline: MediaPipeline, stream: list[Message]) -> list[Unit]:
    """Process messages. Returns all units that the pipeline returns."""
    units: list[Unit] = []
    for message in stream:
        process = pipeline.process_video if message.kind is MediaKind.VIDEO else pipeline.process_audio
        units += process(timestamp_ms=message.timestamp_ms, payload=message.payload)
    return units


def tone(*, sampling_rate: int, seconds: float, amplitude: float = 0.5, start_seconds: float = 0.0) -> bytes:
    """Return a 1 kHz tone: 32-bit float samples of one channel."""
    step = 2 * math.pi * 1_000 / sampling_rate
    start = round(start_seconds * sampling_rate)
    return array(
        "f", (amplitude * math.sin(step * (start + i)) for i in range(round(seconds * sampling_rate)))
    ).tobytes()


def aac_frames(samples: bytes, *, sampling_rate: int, channels: int = 1) -> tuple[bytes, list[bytes]]:
    """Encode 32-bit float samples of one channel, copied to all channels. Returns (AudioSpecificConfig, raw frames).

    The first frame is the encoder's priming: it is presented before the first sample.
    """
    context = av.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = sampling_rate, _layout(channels), "fltp"
    context.bit_rate, context.time_base = 96_000, Fraction(1, sampling_rate)
    context.open()
    packets = [packet for frame in audio_frames(samples, sampling_rate, channels) for packet in context.encode(frame)]
    packets += context.encode(None)
    assert context.extradata is not None
    return bytes(context.extradata), [bytes(packet) for packet in packets]


def audio_frames(samples: bytes, sampling_rate: int, channels: int) -> Iterator[av.AudioFrame]:
    """Yield the samples in frames of 1024. An incomplete last frame is dropped."""
    size = AAC_SAMPLES * 4
    for number in range(len(samples) // size):
        frame = av.AudioFrame(format="fltp", layout=_layout(channels), samples=AAC_SAMPLES)
        for plane in frame.planes:
            plane.update(samples[number * size : (number + 1) * size])
        frame.sample_rate, frame.time_base = sampling_rate, Fraction(1, sampling_rate)
        frame.pts = number * AAC_SAMPLES
        yield frame


def parameter_sets(
    *, profile: str = "baseline", pixels: str = "yuv420p", width: int = 160, height: int = 96, x264: str = ""
) -> list[bytes]:
    """Return the SPS and PPS of an encoder with these settings."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base = Fraction(1, FRAMES_PER_SECOND)
    context.options = {"profile": profile, "x264-params": x264}
    context.flags |= av.codec.context.Flags.global_header
    context.open()
    assert context.extradata is not None
    return [unit.rstrip(b"\0") for unit in bytes(context.extradata).split(b"\0\0\1")[1:]]


def _layout(channels: int) -> str:
    return {1: "mono", 2: "stereo", 6: "5.1"}[channels]


def video_frames(count: int, *, width: int, height: int, is_bright: Callable[[int], bool]) -> Iterator[av.VideoFrame]:
    """Yield dark frames with a moving pattern; those for which `is_bright` holds are white."""
    for number in range(count):
        frame = av.VideoFrame(width, height, "yuv420p")
        for index, plane in enumerate(frame.planes):
            dark = bytes(16 + (column + number) % 32 for column in range(plane.line_size))
            row = (
                (b"\xeb" * plane.line_size if is_bright(number) else dark) if index == 0 else b"\x80" * plane.line_size
            )
            plane.update(row * plane.height)
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        yield frame


class FurtherVideo(msgspec.Struct, frozen=True, kw_only=True):
    """One more video track of the same picture."""

    width: int
    height: int
    encoder: str = "libx264"
    b_frames: int = 0


@cache
def stream(
    *,
    seconds: int = 3,
    width: int = 320,
    height: int = 180,
    sampling_rate: int = 48_000,
    channels: int = 2,
    b_frames: int = 0,
    keyframe_interval: int = 30,
    slices: int = 1,
    further: tuple[FurtherVideo, ...] = (),
) -> list[Message]:
    """Return a stream of video and a tone, as ffmpeg would send it. The result is cached: do not modify it.

    The `further` tracks come as multitrack video (Enhanced RTMP v2), with the track ids 1, 2 and so on.
    """
    memory = io.BytesIO()
    tracks = (FurtherVideo(width=width, height=height, b_frames=b_frames), *further)
    with av.open(memory, "w", format="flv") as container:
        videos: list[av.VideoStream] = []
        for track in tracks:
            video = container.add_stream(track.encoder, rate=FRAMES_PER_SECOND)
            assert isinstance(video, av.VideoStream)
            video.width, video.height, video.pix_fmt = track.width, track.height, "yuv420p"
            video.options = {"preset": "ultrafast", "bf": str(track.b_frames), "g": str(keyframe_interval)}
            video.options |= {"b_strategy": "0", "x265-params": "log-level=error"}
            blocks = -(-track.width // 16) * -(-track.height // 16)
            video.options |= {"x264-params": f"slice-max-mbs={blocks // slices}"}
            videos.append(video)
        audio = container.add_stream("aac", rate=sampling_rate, layout=_layout(channels))
        audio.bit_rate = 96_000
        tone_frames = audio_frames(tone(sampling_rate=sampling_rate, seconds=seconds), sampling_rate, channels)
        packets: list[av.Packet[av.stream.Stream]] = []
        for track, video in zip(tracks, videos, strict=True):
            frames = video_frames(
                seconds * FRAMES_PER_SECOND, width=track.width, height=track.height, is_bright=lambda _: False
            )
            packets += [packet for frame in frames for packet in video.encode(frame)] + video.encode(None)
        packets += [packet for frame in tone_frames for packet in audio.encode(frame)] + audio.encode(None)
        container.mux(sorted(packets, key=decoding_seconds))
    return list(messages(memory.getvalue()))


def decoding_seconds(packet: "av.Packet[av.stream.Stream]") -> Fraction:
    """Return the decoding time of a packet, by which a muxer interleaves the tracks."""
    assert packet.dts is not None
    assert packet.time_base is not None
    return packet.dts * packet.time_base
