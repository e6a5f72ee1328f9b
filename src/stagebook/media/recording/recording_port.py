"""The interface between the manager and the engine that records sources.

A recording is the media of one source, written below one prefix of a bucket. It consists of parts, one for each time
that the publisher published: with a reconnect window, a publisher that returns in time continues the recording.

The manager starts a recording when a participant publishes and stops it when the participant stops. What happens
without a request is reported to one listener as facts. All values can be serialised, as those of `media.port`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from stagebook.storage.object_store import StorageFault


class ThumbnailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Thumbnails at an interval: each as an object of its own, the newest one under one key, or both."""

    interval_seconds: int
    is_sequential: bool = True
    is_latest: bool = False


class RecordingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to record, and where to."""

    recording_id: str
    source_id: str
    connection_id: str | None = None
    """The connection to record of a source that several redundant streams feed; None records what viewers see."""
    stage_arn: str
    session_id: str
    participant_id: str
    bucket_name: str
    prefix: str
    """The key prefix of all objects, without a slash at its end."""
    started_ms: int
    """The wall-clock time of the start, in milliseconds since the epoch."""
    has_video: bool = True
    """False records audio only."""
    segment_seconds: int = 6
    thumbnails: ThumbnailSettings | None = None


class RecordingStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The first media is written and the bucket accepts objects. Reported once for each recording."""

    recording_id: str


class RecordingEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The recording is complete, and all of its objects are stored. Nothing more is reported about it."""

    recording_id: str
    duration_ms: int


class RecordingFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The recording could not start, or ended with a failure. Nothing more is reported about it."""

    recording_id: str
    fault: StorageFault | None
    """None: the video codec is not supported for recording."""
    duration_ms: int
    """0 if nothing was recorded."""


RecordingFact: TypeAlias = RecordingStarted | RecordingEnded | RecordingFailed
FactListener: TypeAlias = Callable[[RecordingFact], "asyncio.Future[None] | None"]
"""Returns a future for the durability of what a fact leads to; None if it leads to nothing. Until an outcome is
durable, the engine keeps what it needs to tell it again."""


class RecordingEngine(Protocol):
    """What records, in one or several processes."""

    async def interrupted(self, recording_ids: Sequence[str]) -> Mapping[str, RecordingEnded | RecordingFailed]:
        """Return the outcomes of recordings that an earlier run of the server has begun and not ended, by their ids.
        Those of which nothing was recorded are left out. Call it before recordings start."""

    def listen(self, on_fact: FactListener) -> None:
        """Set the one listener for facts. It is called on the event loop's thread and must not block."""

    def prepare(self) -> None:
        """Recordings may begin soon: start what they need, so that none waits for it."""

    def start_recording(self, request: RecordingRequest) -> None:
        """Start a recording, or continue one whose part was ended. The outcome is reported as a fact."""

    def end_part(self, recording_id: str) -> None:
        """The publisher has stopped, and may return within its reconnect window: close the part, keep the recording."""

    def end_recording(self, recording_id: str) -> None:
        """End a recording: complete its objects. RecordingEnded or RecordingFailed follows. Unknown ids are ignored."""
