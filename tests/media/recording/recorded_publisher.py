"""A recorder that is fed with tapped frames in virtual time."""

from collections.abc import Iterable

import msgspec

from stagebook.media.recording.participant_recorder import ParticipantRecorder
from stagebook.media.recording.recording_port import RecordingRequest, ThumbnailSettings
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.recording.stored_objects import StoredObjects

START_MS = 1_700_000_000_123
_TICK_US = 1_000_000


def make_request(
    *, has_video: bool = True, segment_seconds: int = 2, thumbnails: ThumbnailSettings | None = None
) -> RecordingRequest:
    """Return the request of a recording."""
    return RecordingRequest(
        recording_id="recording",
        source_id="source",
        stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
        session_id="st-a1b2c3d4e5f6g",
        participant_id="abCDEf12GHIj",
        bucket_name="bucket",
        prefix="abcdABCDefgh/st-a1b2c3d4e5f6g/abCDEf12GHIj/2023-11-14T22-13-20Z",
        started_ms=START_MS,
        has_video=has_video,
        segment_seconds=segment_seconds,
        thumbnails=thumbnails,
    )


class RecordedPublisher:
    """A recorder, the clock that it sees, and what it puts."""

    def __init__(self, request: RecordingRequest | None = None) -> None:
        self.objects = StoredObjects()
        self.journal = bytearray()
        self.keyframe_requests = 0
        self.now_ms = START_MS
        self.recorder = ParticipantRecorder(
            request=request or make_request(),
            objects=self.objects,
            journal=self.journal.extend,
            request_keyframe=self._count_request,
            now_ms=lambda: self.now_ms,
        )

    def send(self, frames: Iterable[TappedFrame], *, offset_us: int = 0) -> None:
        """Feed frames, each when the wall clock is at its time. `offset_us` is added to the times that they have.

        The recorder's tick is called each second.
        """
        first_us: int | None = None
        start_ms, ticked_us = self.now_ms, 0
        for frame in frames:
            first_us = frame.time_us if first_us is None else first_us
            passed_us = frame.time_us - first_us
            while passed_us - ticked_us >= _TICK_US:
                ticked_us += _TICK_US
                self.now_ms = start_ms + ticked_us // 1_000
                self.recorder.tick()
            self.now_ms = max(self.now_ms, start_ms + passed_us // 1_000)
            self.recorder.receive(msgspec.structs.replace(frame, time_us=frame.time_us + offset_us))

    def wait(self, seconds: float) -> None:
        """Let the wall clock go on, with ticks."""
        for _ in range(round(seconds)):
            self.now_ms += 1_000
            self.recorder.tick()

    def _count_request(self) -> None:
        self.keyframe_requests += 1
