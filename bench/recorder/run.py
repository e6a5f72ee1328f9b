"""The part `recorder`: what recording one participant costs, without the tap that brings its frames."""

import time
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import numpy as np

from bench.report import Part, Table, Target, number
from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.recording.participant_recorder import ParticipantRecorder
from stagebook.media.recording.recording_port import RecordingRequest, ThumbnailSettings
from stagebook.media.tap.tapped_frame import TappedFrame

SECONDS = 60
LONG_SECONDS = 1_800
TARGET_MS_PER_SECOND = 30.0
"""With the tap."""
TARGET_GROWTH_BYTES = 100_000
_FRAMES_PER_SECOND = 30
_GOP_SECONDS = 6
_PACKET_SECONDS = 0.02


class _DiscardedObjects:
    """Objects that are counted only."""

    def __init__(self) -> None:
        self.playlist_bytes = 0
        self.media_bytes = 0

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Count an object."""
        del content_type
        if name.endswith(".m3u8"):
            self.playlist_bytes += len(body)
        else:
            self.media_bytes += len(body)


def measure_recorder(folder: Path) -> Part:
    """Record media in virtual time, and return the report."""
    del folder
    pictures, packets = _pictures(), _packets()
    rows, with_video = [], 0.0
    for name, has_video, thumbnails in (
        ("H.264 and Opus", True, None),
        ("the same, a thumbnail every 60 s", True, ThumbnailSettings(interval_seconds=60)),
        ("the same, a thumbnail every second", True, ThumbnailSettings(interval_seconds=1)),
        ("audio only", False, None),
    ):
        recorder, _ = _make_recorder(has_video=has_video, thumbnails=thumbnails)
        frames = list(_frames(pictures, packets, SECONDS))
        started = time.process_time()
        for frame in frames:
            recorder.receive(frame)
        recorder.end()
        ms = (time.process_time() - started) * 1_000 / SECONDS
        with_video = with_video or ms
        rows.append((name, number(ms)))
    growth, objects = _record_long(pictures, packets)
    return Part(
        title="Recording a participant",
        method=(
            f"{SECONDS} s of 720p30 H.264 (2.5 Mbit/s, a keyframe every {_GOP_SECONDS} s) and Opus as tapped frames, "
            "in virtual time, into a recorder whose objects are discarded. Then half an hour of audio, with the growth "
            "of Python's memory between 10 and 30 minutes, and the bytes of playlists, for segments of 2 s."
        ),
        tables=(
            Table(headings=("publisher", "CPU ms per second"), rows=tuple(rows)),
            Table(
                headings=("half an hour in segments of 2 s", "bytes"),
                rows=(
                    ("growth of memory in 20 minutes", f"{growth:,}"),
                    ("playlists written", f"{objects.playlist_bytes:,}"),
                    ("media written", f"{objects.media_bytes:,}"),
                ),
            ),
        ),
        targets=(
            Target(
                what="CPU of a recorder of 720p30", measured=with_video, at_most=TARGET_MS_PER_SECOND, unit="ms per s"
            ),
            Target(
                what="growth of a recorder's memory in 20 minutes",
                measured=growth,
                at_most=TARGET_GROWTH_BYTES,
                unit="bytes",
            ),
        ),
    )


def _record_long(pictures: list[bytes], packets: list[bytes]) -> tuple[int, _DiscardedObjects]:
    recorder, objects = _make_recorder(has_video=False, thumbnails=None, segment_seconds=2)
    tracemalloc.start()
    at_third = 0
    for frame in _frames(pictures[:0], packets, LONG_SECONDS):
        recorder.receive(frame)
        if not at_third and frame.time_us > LONG_SECONDS * 1_000_000 // 3:
            at_third = tracemalloc.get_traced_memory()[0]
    growth = tracemalloc.get_traced_memory()[0] - at_third
    tracemalloc.stop()
    recorder.end()
    return growth, objects


def _make_recorder(
    *, has_video: bool, thumbnails: ThumbnailSettings | None, segment_seconds: int = 6
) -> tuple[ParticipantRecorder, _DiscardedObjects]:
    objects = _DiscardedObjects()
    request = RecordingRequest(
        recording_id="bench",
        source_id="bench",
        stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/bench",
        session_id="st-bench",
        participant_id="bench",
        bucket_name="bench",
        prefix="bench",
        started_ms=0,
        has_video=has_video,
        segment_seconds=segment_seconds,
        thumbnails=thumbnails,
    )
    recorder = ParticipantRecorder(
        request=request, objects=objects, journal=_discard, request_keyframe=_nothing, now_ms=_zero
    )
    return recorder, objects


def _discard(record: bytes) -> None:
    """Write no journal."""


def _nothing() -> None:
    """Request no keyframe."""


def _zero() -> int:
    return 0


def _frames(pictures: list[bytes], packets: list[bytes], seconds: int) -> Iterator[TappedFrame]:
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


def _pictures() -> list[bytes]:
    """Encode one group of pictures."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.bit_rate = 1280, 720, "yuv420p", 2_500_000
    context.time_base, context.framerate = Fraction(1, _FRAMES_PER_SECOND), Fraction(_FRAMES_PER_SECOND)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "1000", "bf": "0", "sc_threshold": "0"}
    noise = np.random.default_rng(1).integers(16, 235, (1080, 1280), dtype=np.uint8)
    encoded = []
    for index in range(_FRAMES_PER_SECOND * _GOP_SECONDS):
        frame = av.VideoFrame.from_ndarray(np.roll(noise, index * 4, axis=1), format="yuv420p")
        frame.pts = index
        encoded += [bytes(packet) for packet in context.encode(frame)]
    return encoded


def _packets() -> list[bytes]:
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
