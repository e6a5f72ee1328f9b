"""The part `recorder`: what recording costs: the whole recorder process, its taps, and the recorder alone."""

import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.recorder.publisher_media import GOP_SECONDS, encode_packets, encode_pictures, publisher_frames
from bench.recorder.recorded_publishers import WINDOW_SECONDS, PublishersRecorded, measure_publishers
from bench.report import Part, Table, Target, number
from stagebook.media.recording.participant_recorder import ParticipantRecorder
from stagebook.media.recording.recording_port import RecordingRequest, ThumbnailSettings
from stagebook.media.tap.tapped_frame import TappedFrame

SECONDS = 60
LONG_SECONDS = 1_800
TARGET_MS_PER_SECOND = 30.0
TARGET_TAP_MS_PER_SECOND = 5.0
TARGET_GROWTH_BYTES = 100_000


class _CountedRecording:
    """A recorder in virtual time, whose objects are counted only."""

    def __init__(self, *, has_video: bool, thumbnails: ThumbnailSettings | None, segment_seconds: int = 6) -> None:
        self.playlist_bytes = 0
        self.media_bytes = 0
        self._playlist = b""
        self._now_ms = 0
        self._recorder = ParticipantRecorder(
            request=_request(has_video=has_video, thumbnails=thumbnails, segment_seconds=segment_seconds),
            objects=self,
            journal=_discard,
            request_keyframe=_nothing,
            now_ms=lambda: self._now_ms,
        )

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Count an object."""
        del content_type
        if name.endswith(".m3u8"):
            self.playlist_bytes += len(body)
            self._playlist = body if name.endswith("/playlist.m3u8") else self._playlist
        else:
            self.media_bytes += len(body)

    def receive(self, frame: TappedFrame) -> None:
        """Record a frame at the moment of its time."""
        self._now_ms = frame.time_us // 1_000
        self._recorder.receive(frame)

    def end(self, *, seconds: int) -> None:
        """End the recording. Raises AssertionError unless it has all of the media, which has so many seconds."""
        duration_ms = self._recorder.end()
        assert abs(duration_ms - seconds * 1_000) < 100, f"{duration_ms} ms of {seconds} s are recorded"
        assert b"#EXT-X-DISCONTINUITY" not in self._playlist, "the recording has a discontinuity"
        assert b"#EXT-X-ENDLIST" in self._playlist, "the playlist is not complete"


def measure_recorder(folder: Path) -> Part:
    """Record publishers in real time and media in virtual time, and return the report."""
    recorded = uvloop.run(measure_publishers(folder))
    pictures, packets = encode_pictures(), encode_packets()
    rows = []
    for name, has_video, thumbnails in (
        ("H.264 and Opus", True, None),
        ("the same, a thumbnail every 60 s", True, ThumbnailSettings(interval_seconds=60)),
        ("the same, a thumbnail every second", True, ThumbnailSettings(interval_seconds=1)),
        ("audio only", False, None),
    ):
        recorder = _CountedRecording(has_video=has_video, thumbnails=thumbnails)
        frames = list(publisher_frames(pictures, packets, SECONDS))
        started = time.process_time()
        for frame in frames:
            recorder.receive(frame)
        recorder.end(seconds=SECONDS)
        ms = (time.process_time() - started) * 1_000 / SECONDS
        rows.append((name, number(ms)))
    growth, long_recording = _record_long(packets)
    return Part(
        title="Recording a participant",
        method=(
            "First real processes: publishers of 720p30 H.264 (2.5 Mbit/s) and Opus to an engine process, by WebRTC or "
            "by RTMP through an ingest process, and the recorder process, which stores segments of 6 s in a folder. "
            f"The CPU time (/proc/PID/stat) is that of {WINDOW_SECONDS:.0f} s, divided by the publishers. That of a "
            "tap is what the recording adds to the engine process. "
            f"Then {SECONDS} s of 720p30 H.264 (2.5 Mbit/s, a keyframe every {GOP_SECONDS} s) and Opus as tapped "
            "frames, in virtual time, into a recorder whose objects are discarded: the cost without the tap, the spool "
            "and the folder. Then half an hour of audio, with the growth "
            "of Python's memory between 10 and 30 minutes, and the bytes of playlists, for segments of 2 s."
        ),
        tables=(
            _processes_table(recorded),
            Table(headings=("publisher", "CPU ms per second"), rows=tuple(rows)),
            Table(
                headings=("half an hour in segments of 2 s", "bytes"),
                rows=(
                    ("growth of memory in 20 minutes", f"{growth:,}"),
                    ("playlists written", f"{long_recording.playlist_bytes:,}"),
                    ("media written", f"{long_recording.media_bytes:,}"),
                ),
            ),
        ),
        targets=(
            Target(
                what="CPU of the recorder process for a participant of 720p30",
                measured=max(one.recorder_ms for one in recorded),
                at_most=TARGET_MS_PER_SECOND,
                unit="ms per s",
            ),
            Target(
                what="CPU of a tap in the engine process",
                measured=max(one.tap_ms for one in recorded if one.publishers > 1),
                at_most=TARGET_TAP_MS_PER_SECOND,
                unit="ms per s",
            ),
            Target(
                what="growth of a recorder's memory in 20 minutes",
                measured=growth,
                at_most=TARGET_GROWTH_BYTES,
                unit="bytes",
            ),
        ),
    )


def _processes_table(recorded: Sequence[PublishersRecorded]) -> Table:
    rows = tuple(
        (
            f"{one.publishers} by {one.kind}",
            *(number(1_000 * seconds / one.publishers) for seconds in one.recorder),
            number(one.recorder_ms),
            number(1_000 * sum(one.engine_alone) / one.publishers),
            number(one.tap_ms),
            number(one.recorder_megabytes),
        )
        for one in recorded
    )
    headings = ("publishers", "user ms/s", "system ms/s", "recorder ms/s", "engine ms/s", "tap ms/s", "recorder MB")
    return Table(headings=headings, rows=rows)


def _record_long(packets: list[bytes]) -> tuple[int, _CountedRecording]:
    """Record audio, and return the growth of Python's memory in bytes after the first third of the time."""
    recorder = _CountedRecording(has_video=False, thumbnails=None, segment_seconds=2)
    tracemalloc.start()
    at_third = 0
    for frame in publisher_frames([], packets, LONG_SECONDS):
        recorder.receive(frame)
        if not at_third and frame.time_us > LONG_SECONDS * 1_000_000 // 3:
            at_third = tracemalloc.get_traced_memory()[0]
    growth = tracemalloc.get_traced_memory()[0] - at_third
    tracemalloc.stop()
    recorder.end(seconds=LONG_SECONDS)
    return growth, recorder


def _request(*, has_video: bool, thumbnails: ThumbnailSettings | None, segment_seconds: int) -> RecordingRequest:
    return RecordingRequest(
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


def _discard(record: bytes) -> None:
    """Write no journal."""


def _nothing() -> None:
    """Request no keyframe."""
