"""A source: one publication with its tracks and its viewers, whichever connection publishes it.

`published_source` (WebRTC) and `encoder/encoder_source` (RTMP) implement it. A source exists until the manager ends it,
also while no publisher is connected; its viewers then receive nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.connection_statistics import LayerReason
from stagebook.media.port import LayerChoice, LayerMode, MediaRefusedError, RefusalReason, SourceMeasured, VideoLayer
from stagebook.media.rtc.rtp.source_meter import SourceMeasurement
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.rtc.sfu.relay.source_relay import SourceRelay
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.viewer import Viewer

VIDEO_CLOCK_RATE: Final = 90_000
OPUS_CLOCK_RATE: Final = 48_000
_NTP_EPOCH_SECONDS: Final = 2_208_988_800
"""Seconds from 1900 (the epoch of NTP) to 1970."""


class MediaSource(ABC):
    """One publication and its viewers."""

    format: SourceFormat
    """The codecs and parameters that viewers are answered with."""

    def __init__(self, source_id: str, *, name: str, wall_clock: Callable[[], float]) -> None:
        """`wall_clock` returns seconds since 1970."""
        self.source_id = source_id
        self.name = name
        """Visible to viewers, as the media stream id in SDP (RFC 8830) and as the RTCP CNAME."""
        self.viewers: dict[str, Viewer] = {}
        """By connection id."""
        self.relays: list[SourceRelay] = []
        """The open relays to other engines with viewers of the source."""
        self._wall_clock = wall_clock

    @property
    @abstractmethod
    def tracks(self) -> Mapping[MediaKind, SourceTrack]:
        """The audio and the video track, always both, also if no publisher sends one of them."""

    @property
    def has_layers(self) -> bool:
        """Whether the publisher sends its video in several simulcast layers, by its offer."""
        return False

    def layers(self, viewer: Viewer) -> tuple[VideoLayer, ...]:  # noqa: ARG002 - for sources with layers
        """The layers that a viewer can choose; empty for a source without simulcast."""
        return ()

    def choose_layer(self, viewer: Viewer, choice: LayerChoice, now: float) -> None:
        """Send a viewer what it chooses. Raises MediaRefusedError: UNKNOWN_LAYER, or BUSY if viewers have chosen too
        many different layers."""
        if choice.encoding_id is not None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_LAYER, detail="the publisher has no such layer")
        for viewer_track, stopped in (
            (viewer.video, (LayerMode.AUDIO_ONLY, LayerMode.PAUSED)),
            (viewer.audio, (LayerMode.PAUSED,)),
        ):
            if viewer_track is not None and choice.mode in stopped:
                viewer_track.pause(now)
            elif viewer_track is not None and viewer_track.is_paused:
                viewer_track.resume(now)

    def layer_reason(self, viewer: Viewer) -> LayerReason | None:  # noqa: ARG002 - encoders have one version
        """Why a viewer is sent the video that it is sent; None where there is no choice."""
        return None

    def start_low(self, viewer: Viewer, now: float) -> None:  # noqa: B027 - nothing to do without layers
        """Let a viewer that is not connected yet start with the lowest layer. No effect without simulcast."""

    # Relays to other engines

    @abstractmethod
    def describe(self) -> SourceDescription:
        """What another engine needs to answer viewers of this source."""

    @abstractmethod
    def add_relay(self, relay: SourceRelay) -> None:
        """Relay from now on what the source receives, beginning with what feeds it at the moment."""

    def remove_relay(self, relay: SourceRelay) -> None:
        """Relay to this engine no longer."""
        self.relays.remove(relay)

    def request_relayed_keyframe(self, ssrc: int, now: float) -> None:  # noqa: B027 - encoders cannot be asked
        """Viewers on another engine need a keyframe of the stream with this SSRC. Throttled with the other requests."""

    # Time

    @abstractmethod
    def handle_timers(self, now: float) -> None:
        """Do what is due: NACKs, reports and keyframe requests. Called every `engine_timer.TICK_SECONDS`."""

    @abstractmethod
    def each_second(self, now: float) -> None:
        """Send the sender reports of the source's own clock, and drop what is too old. Called once a second."""

    @abstractmethod
    def measure(self, now: float) -> list[SourceMeasured]:
        """The measurements since the last call, one for each connected publisher or encoder. Called once a second: the
        bitrates are averages over that time."""

    def _send_report(
        self, track: SourceTrack, *, ntp: int, rtp_timestamp: int, down_track: DownTrack | None = None
    ) -> None:
        """Send a sender report to all viewers of a track, or to one down track of it: `ntp` and `rtp_timestamp` are the
        same instant (RFC 3550 section 6.4.1)."""
        for viewer in self.viewers.values():
            viewer.send_report(track, ntp=ntp, rtp_timestamp=rtp_timestamp, only=down_track)

    def ntp_now(self) -> int:
        """The server's time in NTP's 64-bit format."""
        return int((self._wall_clock() + _NTP_EPOCH_SECONDS) * (1 << 32))

    def _measured(
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
