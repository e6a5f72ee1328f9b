"""A source: its tracks, the connection that publishes it now, and its viewers.

Publishers may follow each other; the tracks, and so the viewers' streams, go on. Knows no transport.
"""

from collections.abc import Callable

from stagebook.media.port import SourceMeasured
from stagebook.media.webrtc.codec import Codec, Kind
from stagebook.media.webrtc.incoming import IncomingTrack, Sink
from stagebook.media.webrtc.measure import SourceMeter
from stagebook.media.webrtc.offer import PublisherPlan, SourceFormat
from stagebook.media.webrtc.publisher import Publisher
from stagebook.media.webrtc.rtcp import SenderReport
from stagebook.media.webrtc.track import SourceTrack
from stagebook.media.webrtc.viewer import Viewer

VIDEO_CLOCK_RATE = 90_000
OPUS_CLOCK_RATE = 48_000
_NTP_EPOCH_SECONDS = 2_208_988_800
"""From 1900, where NTP begins, to 1970."""
_SILENT_CLOCK_SECONDS = 3.0
"""A publisher without sender reports for this long gets ours instead."""


class Source:
    """One publication and its viewers."""

    def __init__(
        self,
        source_id: str,
        plan: PublisherPlan,
        *,
        name: str,
        random_bits: Callable[[int], int],
        wall_clock: Callable[[], float],
    ) -> None:
        self.source_id = source_id
        self.name = name
        """What viewers see: the msid's stream and the CNAME."""
        self.viewers: dict[str, Viewer] = {}
        """By connection id."""
        self.publisher: Publisher | None = None
        """The connected one that feeds the tracks."""
        self._random_bits = random_bits
        self._wall_clock = wall_clock
        self._meter: SourceMeter | None = None
        self._ntp_offset: int | None = None
        self._clocks_at: dict[Kind, float] = {}
        self._set_format(plan)

    def _set_format(self, plan: PublisherPlan) -> None:
        self.format = SourceFormat.of(plan)
        # Always both: a viewer may wait for sound that only a later publisher brings.
        self.tracks = {
            Kind.VIDEO: self._track(Kind.VIDEO, plan.video.codec, VIDEO_CLOCK_RATE),
            Kind.AUDIO: self._track(Kind.AUDIO, Codec.OPUS, OPUS_CLOCK_RATE),
        }

    def _track(self, kind: Kind, codec: Codec, clock_rate: int) -> SourceTrack:
        return SourceTrack(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=self._random_bits)

    def keeps_viewers(self, plan: PublisherPlan) -> bool:
        """Whether viewers of this source can go on with another publisher: it has the same video codec."""
        return plan.video.codec is self.format.video_codec

    def take_over(self, publisher: Publisher, now: float) -> None:
        """Let a connected publisher feed the tracks. With other codecs the tracks are new and have no viewers."""
        self.release(self.publisher)
        if self.keeps_viewers(publisher.plan):
            self.format = SourceFormat.of(publisher.plan)
        else:
            self._set_format(publisher.plan)
        self.publisher = publisher
        self._ntp_offset = None
        self._clocks_at = dict.fromkeys(self.tracks, now)
        self._meter = SourceMeter(codec=self.format.video_codec, now=now)
        for incoming in publisher.tracks:
            track = self.tracks[incoming.plan.kind]
            track.feed = incoming
            incoming.sink = Sink(track, self._meter)

    def release(self, publisher: Publisher | None) -> None:
        """A publisher's connection is over, or another takes its place. One that feeds nothing is fine."""
        if publisher is None or publisher is not self.publisher:
            return
        self.publisher = None
        self._meter = None
        for track in self.tracks.values():
            track.feed = None
        for incoming in publisher.tracks:
            incoming.sink = None

    def hear_clocks(self, publisher: Publisher, incoming: IncomingTrack, report: SenderReport, now: float) -> None:
        """Pass a sender report on, with its NTP time moved onto our own clock.

        So the viewers see one clock, whoever publishes: audio and video of one publisher are moved alike, which is what
        keeps lips and voice together.
        """
        if publisher is not self.publisher:
            return
        if self._ntp_offset is None:
            self._ntp_offset = self._ntp_now() - report.ntp
        kind = incoming.plan.kind
        self._clocks_at[kind] = now
        track = self.tracks[kind]
        ntp = (report.ntp + self._ntp_offset) & 0xFFFFFFFFFFFFFFFF
        self._report(track, ntp, track.outgoing_timestamp(report.rtp_timestamp))

    def tick(self, now: float) -> None:
        """Once a second: report our own clock where the publisher is silent about its."""
        for kind, track in self.tracks.items():
            timestamp = track.timestamp_at(now)
            if timestamp is not None and now - self._clocks_at.get(kind, now) > _SILENT_CLOCK_SECONDS:
                self._report(track, self._ntp_now(), timestamp)

    def measure(self, now: float) -> SourceMeasured | None:
        """What the last second was; None without a connected publisher."""
        if self._meter is None or self.publisher is None or self.publisher.connection_id is None:
            return None
        measured = self._meter.take(now)
        return SourceMeasured(
            source_id=self.source_id,
            connection_id=self.publisher.connection_id,
            bitrate_bps=measured.bitrate_bps,
            video_codec=self._codec_seen(Kind.VIDEO),
            audio_codec=self._codec_seen(Kind.AUDIO),
            width=measured.width,
            height=measured.height,
            frames_per_second=measured.frames_per_second,
            has_b_frames=measured.has_b_frames,
        )

    def _codec_seen(self, kind: Kind) -> Codec | None:
        """The codec of a track that packets came of."""
        incoming = None if self.publisher is None else self.publisher.track_of(kind)
        return incoming.plan.codec if incoming is not None and incoming.current is not None else None

    def _report(self, track: SourceTrack, ntp: int, rtp_timestamp: int) -> None:
        for viewer in self.viewers.values():
            viewer.report(track, ntp=ntp, rtp_timestamp=rtp_timestamp)

    def _ntp_now(self) -> int:
        return int((self._wall_clock() + _NTP_EPOCH_SECONDS) * (1 << 32))
