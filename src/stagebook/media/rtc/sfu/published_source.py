"""A source that is published by WebRTC: the connection that publishes it now, and the clocks it tells.

Publishers may follow each other; the tracks, and so the viewers' streams, go on.
"""

from collections.abc import Callable, Mapping

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.port import SourceMeasured
from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, SourceFormat
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack, Sink
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.source import OPUS_CLOCK_RATE, VIDEO_CLOCK_RATE, Source

_SILENT_CLOCK_SECONDS = 3.0
"""A publisher without sender reports for this long gets ours instead."""


class PublishedSource(Source):
    """One publication by WebRTC."""

    def __init__(
        self,
        source_id: str,
        plan: PublisherPlan,
        *,
        name: str,
        random_bits: Callable[[int], int],
        wall_clock: Callable[[], float],
    ) -> None:
        super().__init__(source_id, name=name, wall_clock=wall_clock)
        self.publisher: Publisher | None = None
        """The connected one that feeds the tracks."""
        self._random_bits = random_bits
        self._meter: SourceMeter | None = None
        self._ntp_offset: int | None = None
        self._clocks_at: dict[MediaKind, float] = {}
        self._set_format(plan)

    def _set_format(self, plan: PublisherPlan) -> None:
        self.format = SourceFormat.of(plan)
        # Always both: a viewer may wait for sound that only a later publisher brings.
        self._tracks = {
            MediaKind.VIDEO: self._track(MediaKind.VIDEO, plan.video.codec, VIDEO_CLOCK_RATE),
            MediaKind.AUDIO: self._track(MediaKind.AUDIO, Codec.OPUS, OPUS_CLOCK_RATE),
        }

    def _track(self, kind: MediaKind, codec: Codec, clock_rate: int) -> PublishedTrack:
        return PublishedTrack(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=self._random_bits)

    @property
    def tracks(self) -> Mapping[MediaKind, PublishedTrack]:
        """Both kinds."""
        return self._tracks

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
        self._clocks_at = dict.fromkeys(self._tracks, now)
        self._meter = SourceMeter(codec=self.format.video_codec, now=now)
        for incoming in publisher.tracks:
            track = self._tracks[incoming.plan.kind]
            track.origin = incoming
            incoming.sink = Sink(track, self._meter)

    def release(self, publisher: Publisher | None) -> None:
        """A publisher's connection is over, or another takes its place. One that feeds nothing is fine."""
        if publisher is None or publisher is not self.publisher:
            return
        self.publisher = None
        self._meter = None
        for track in self._tracks.values():
            track.origin = None
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
        track = self._tracks[kind]
        ntp = (report.ntp + self._ntp_offset) & 0xFFFFFFFFFFFFFFFF
        self._report(track, ntp=ntp, rtp_timestamp=track.outgoing_timestamp(report.rtp_timestamp))

    def look_after(self, now: float) -> None:
        """Let the publisher be asked for what is missing."""
        if self.publisher is not None:
            self.publisher.tick(now)

    def tick(self, now: float) -> None:
        """Once a second: report our own clock where the publisher is silent about its."""
        for kind, track in self._tracks.items():
            timestamp = track.timestamp_at(now)
            if timestamp is not None and now - self._clocks_at.get(kind, now) > _SILENT_CLOCK_SECONDS:
                self._report(track, ntp=self._ntp_now(), rtp_timestamp=timestamp)

    def measure(self, now: float) -> list[SourceMeasured]:
        """What the last second was; nothing without a connected publisher."""
        if self._meter is None or self.publisher is None or self.publisher.connection_id is None:
            return []
        return [
            self._fact(
                self.publisher.connection_id,
                self._meter.take(now),
                video_codec=self._codec_seen(MediaKind.VIDEO),
                audio_codec=self._codec_seen(MediaKind.AUDIO),
            )
        ]

    def _codec_seen(self, kind: MediaKind) -> Codec | None:
        """The codec of a track that packets came of."""
        incoming = None if self.publisher is None else self.publisher.track_of(kind)
        return incoming.plan.codec if incoming is not None and incoming.current is not None else None
