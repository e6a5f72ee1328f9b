"""A source: one publication, its tracks and its viewers, whoever publishes it and by whatever protocol.

Knows no transport. What brings the media is `published_source` (WebRTC) or `fed_source` (an encoder's feed).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.port import SourceMeasured
from stagebook.media.rtc.rtp.source_meter import SourceMeasurement
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.viewer import Viewer

VIDEO_CLOCK_RATE: Final = 90_000
OPUS_CLOCK_RATE: Final = 48_000
_NTP_EPOCH_SECONDS: Final = 2_208_988_800
"""From 1900, where NTP begins, to 1970."""


class Source(ABC):
    """One publication and its viewers."""

    format: SourceFormat
    """What viewers are offered."""

    def __init__(self, source_id: str, *, name: str, wall_clock: Callable[[], float]) -> None:
        self.source_id = source_id
        self.name = name
        """What viewers see: the msid's stream and the CNAME."""
        self.viewers: dict[str, Viewer] = {}
        """By connection id."""
        self._wall_clock = wall_clock

    @property
    @abstractmethod
    def tracks(self) -> Mapping[MediaKind, SourceTrack]:
        """Both kinds."""

    @abstractmethod
    def look_after(self, now: float) -> None:
        """Called a few times a second."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """Called once a second."""

    @abstractmethod
    def measure(self, now: float) -> list[SourceMeasured]:
        """What the last second was: one for each connected publisher. Called once a second."""

    def _report(self, track: SourceTrack, *, ntp: int, rtp_timestamp: int, outlet: DownTrack | None = None) -> None:
        """Tell all viewers of a track (or one of its outlets) which moment is which timestamp."""
        for viewer in self.viewers.values():
            viewer.report(track, ntp=ntp, rtp_timestamp=rtp_timestamp, only=outlet)

    def _ntp_now(self) -> int:
        return int((self._wall_clock() + _NTP_EPOCH_SECONDS) * (1 << 32))

    def _fact(
        self, connection_id: str, measured: SourceMeasurement, *, video_codec: str | None, audio_codec: str | None
    ) -> SourceMeasured:
        return SourceMeasured(
            source_id=self.source_id,
            connection_id=connection_id,
            bitrate_bps=measured.bitrate_bps,
            video_codec=video_codec,
            audio_codec=audio_codec,
            width=measured.width,
            height=measured.height,
            frames_per_second=measured.frames_per_second,
            has_b_frames=measured.has_b_frames,
        )
