"""The interface between the manager and the engine that composes stages.

A composition draws the publishers of a stage into one picture, mixes their sound, and sends both to one or two
destinations. The manager starts it, tells it who publishes, and stops it. What happens without a request is reported to
one listener as facts. All values can be serialised, as those of `media.port`.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

from stagebook.media.composition.layout.layout_settings import Layout
from stagebook.media.recording.recording_port import ThumbnailSettings


class CanvasSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The picture of a destination (shape Video). Outputs with the same canvas share one encoding."""

    width: int
    height: int
    frames_per_second: float
    bitrate_bps: int


class ChannelOutput(msgspec.Struct, frozen=True, kw_only=True, tag="channel"):
    """A destination that is a channel: an RTMP or RTMPS server."""

    destination_id: str
    canvas: CanvasSettings
    url: str
    """It may hold a stream key."""

    def __repr__(self) -> str:
        return f"ChannelOutput(destination_id={self.destination_id!r})"


class BucketOutput(msgspec.Struct, frozen=True, kw_only=True, tag="bucket"):
    """A destination that is a prefix of a bucket: HLS, metadata and thumbnails."""

    destination_id: str
    canvas: CanvasSettings
    bucket_name: str
    prefix: str
    """The key prefix of all objects, without a slash at its end."""
    segment_seconds: int = 2
    thumbnails: ThumbnailSettings | None = None


Output: TypeAlias = ChannelOutput | BucketOutput


class CompositionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to compose, and where to."""

    composition_id: str
    composition_arn: str
    stage_arn: str
    started_ms: int
    """The wall-clock time of the start, in milliseconds since the epoch."""
    layout: Layout
    outputs: tuple[Output, ...]


class ComposedParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher of the composed stage. Its position in a list of participants is its order of arrival."""

    participant_id: str
    source_id: str
    attributes: dict[str, str] = {}
    is_audio_muted: bool = False
    is_video_stopped: bool = False
    """Also true for a publisher without video."""


class OutputFault(StrEnum):
    """Why a destination failed. The values are the error codes of AWS's events."""

    BUCKET_NOT_FOUND = "ResourceNotFoundException"
    ACCESS_DENIED = "AccessDeniedException"
    STREAM_EXISTS = "ConflictException"
    INTERNAL = "InternalServerException"


class OutputStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A destination takes what is composed: at first, or after OutputReconnecting."""

    composition_id: str
    destination_id: str


class OutputReconnecting(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A destination was lost, and is tried again."""

    composition_id: str
    destination_id: str


class OutputEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A destination is complete: after `end_composition`. Nothing more is reported about it."""

    composition_id: str
    destination_id: str


class OutputFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A destination has failed permanently. Nothing more is reported about it."""

    composition_id: str
    destination_id: str
    fault: OutputFault


class CompositionLost(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The process of the composition has exited or failed. Nothing more is reported about it."""

    composition_id: str


OutputFact: TypeAlias = OutputStarted | OutputReconnecting | OutputEnded | OutputFailed
CompositionFact: TypeAlias = OutputFact | CompositionLost
CompositionListener: TypeAlias = Callable[[CompositionFact], "asyncio.Future[None] | None"]
"""Returns a future for the durability of what a fact leads to; None if it leads to nothing. Until the end of a
destination is durable, the engine keeps what it needs to report it again."""


class CompositionEngine(Protocol):
    """What composes, in one process for each composition."""

    @property
    def max_compositions(self) -> int | None:
        """How many compositions run at the same time at most; None without a maximum. Further ones are lost."""

    async def complete_outputs(self, composition_ids: Sequence[str]) -> Collection[tuple[str, str]]:
        """Return the complete destinations of compositions that an earlier run of the server has not ended: the ids of
        the composition and of the destination. Call it before compositions start."""

    def listen(self, on_fact: CompositionListener) -> None:
        """Set the one listener for facts. It is called on the event loop's thread and must not block."""

    def start_composition(self, request: CompositionRequest) -> None:
        """Start a composition without participants. The outcome is reported as facts."""

    def show_participants(self, composition_id: str, participants: tuple[ComposedParticipant, ...]) -> None:
        """Draw and mix these participants from now on. Unknown ids are ignored."""

    def end_composition(self, composition_id: str) -> None:
        """End a composition. OutputEnded or OutputFailed follows for each destination that has not failed."""
