"""A source published by WebRTC, or by an encoder with several video tracks: the publisher that feeds it, and the sender
reports for its viewers.

Publishers may replace each other. The tracks outlive them, so the viewers' streams continue. Viewers may choose a
simulcast layer of the video (`simulcast.layer_tracks`).
"""

from collections.abc import Callable, Iterator, Mapping

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.connection_statistics import LayerReason
from stagebook.media.port import (
    LayerChoice,
    LayerMode,
    MediaRefusedError,
    RefusalReason,
    SourceMeasured,
    VideoLayer,
)
from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, SourceFormat
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.media_source import OPUS_CLOCK_RATE, VIDEO_CLOCK_RATE, MediaSource
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.rtc.sfu.relay.source_relay import SourceRelay
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.simulcast.layer_allocation import LayerAllocation
from stagebook.media.rtc.sfu.simulcast.layer_tracks import LayerTracks
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer
from stagebook.media.rtc.sfu.viewer import Viewer

_MAX_REPORT_SILENCE_SECONDS = 3.0
"""After this time without a sender report of the publisher, the source sends reports by its own clock."""


class PublishedSource(MediaSource):
    """One publication by WebRTC."""

    def __init__(
        self,
        source_id: str,
        plan: PublisherPlan,
        *,
        name: str,
        video_codec: Codec,
        random_bits: Callable[[int], int],
        wall_clock: Callable[[], float],
        on_codec_changed: Callable[["PublishedSource", Publisher, float], None],
        schedule: SendSchedule | None = None,
    ) -> None:
        """`plan` is the negotiated offer of the first publisher: viewers may subscribe before it is connected. Without
        video, they negotiate `video_codec` for a later publisher.

        `on_codec_changed` gets the source, the publisher and the time when the publisher that feeds the source sends
        another video codec than before. It ends the viewers' connections and calls `take_over` again.
        """
        super().__init__(source_id, name=name, wall_clock=wall_clock)
        self.is_of_encoders = False
        """Whether encoders with several video tracks feed the source. WebRTC cannot publish it then."""
        self.publisher: Publisher | None = None
        """The connected publisher that feeds the tracks."""
        self._random_bits = random_bits
        self._schedule = schedule
        self._on_codec_changed = on_codec_changed
        self._meter: SourceMeter | None = None
        self._ntp_offset: int | None = None
        self._reported_at: dict[PublishedTrack, float] = {}
        """When the publisher's last sender report came, or when the publisher took over."""
        self._plan = plan
        """The offer of the publisher that feeds the source, or else of the last or the first one."""
        self._set_format(SourceFormat.expected(video_codec).fed_by(plan))

    def _set_format(self, source_format: SourceFormat) -> None:
        self.format = source_format
        # Always both kinds: a viewer may subscribe to audio or video that only a later publisher sends.
        self._video = LayerTracks(self._video_track)
        self._allocation = LayerAllocation(self._video, limit_publisher=self._limit_publisher)
        self._audio = PublishedTrack(
            kind=MediaKind.AUDIO, codec=Codec.OPUS, clock_rate=OPUS_CLOCK_RATE, random_bits=self._random_bits
        )
        self._tracks = {MediaKind.VIDEO: self._video.best, MediaKind.AUDIO: self._audio}

    def _video_track(self, encoding_id: str | None, beside: PublishedTrack | None) -> PublishedTrack:
        return PublishedTrack(
            kind=MediaKind.VIDEO,
            codec=self.format.video_codec,
            clock_rate=VIDEO_CLOCK_RATE,
            random_bits=self._random_bits,
            schedule=self._schedule,
            encoding_id=encoding_id,
            beside=beside,
        )

    @property
    def tracks(self) -> Mapping[MediaKind, PublishedTrack]:
        """The audio track and the video track of the best layer. They are new ones after a change of the video
        codec."""
        return self._tracks

    def _all_tracks(self) -> Iterator[PublishedTrack]:
        yield self._audio
        yield from self._video

    def _send_report_of(self, track: PublishedTrack, *, ntp: int, rtp_timestamp: int) -> None:
        """Send a sender report to the viewers of a track and of its thinned versions, which have the same clock."""
        for each in (track, *track.thinned.values()):
            self._send_report(each, ntp=ntp, rtp_timestamp=rtp_timestamp)

    # Layers

    @property
    def has_layers(self) -> bool:
        """Whether the publisher sends its video in several simulcast layers, by its offer."""
        return self._plan.video is not None and len(self._plan.video.encoding_ids) > 1

    def layers(self, viewer: Viewer) -> tuple[VideoLayer, ...]:
        """The layers of the publisher's video that a viewer can choose."""
        return () if viewer.video is None else self._video.layers(viewer.video)

    def choose_layer(self, viewer: Viewer, choice: LayerChoice, now: float) -> None:
        """Send a viewer what it chooses, from the next keyframe on."""
        if viewer.video is not None:
            self._allocation.choose(viewer, viewer.video, choice, now)
        elif choice.encoding_id is not None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_LAYER, detail="the viewer has no video")
        if viewer.audio is not None:
            if choice.mode is LayerMode.PAUSED:
                viewer.audio.pause(now)
            else:
                viewer.audio.move_to(self._audio, now)

    def layer_reason(self, viewer: Viewer) -> LayerReason | None:
        """Why a viewer is sent the version of the video that it is sent."""
        return None if viewer.video is None else self._allocation.reason(viewer, viewer.video)

    def start_low(self, viewer: Viewer, now: float) -> None:
        """Let a viewer that is not connected yet start with the lowest layer."""
        if viewer.video is not None:
            self._video.start_low(viewer.video, now)

    # Relays

    def describe(self) -> SourceDescription:
        """The offer of the publisher that feeds the source, or of the last or first one."""
        return SourceDescription(plan=self._plan)

    def add_relay(self, relay: SourceRelay) -> None:
        """Relay the packets of the publisher that feeds the source, now and later."""
        self.relays.append(relay)
        if self.publisher is not None:
            relay.start_publisher(self.publisher.plan, self.publisher.rids, self.publisher.sender_reports)
            # A limit for the viewers here may be too low for those of the other engine.
            self.publisher.limit_to(None)
            self._allocation.publisher_changed()

    def remove_relay(self, relay: SourceRelay) -> None:
        """Relay to this engine no longer. The publisher is limited for the viewers here again."""
        super().remove_relay(relay)
        self._allocation.publisher_changed()

    def request_relayed_keyframe(self, ssrc: int, now: float) -> None:
        """Request a keyframe of a layer, within the publisher's budget. Unknown SSRCs are ignored."""
        video = None if self.publisher is None else self.publisher.track_of(MediaKind.VIDEO)
        layer = None if video is None else video.layers.get(ssrc)
        if video is not None and layer is not None:
            video.request_keyframe(layer, now)

    # Publishers

    def keeps_viewers(self, plan: PublisherPlan) -> bool:
        """Whether viewers can continue with a publisher of this plan, that is, whether the video codec is the same or
        the publisher sends no video."""
        return self.format.fed_by(plan).video_codec is self.format.video_codec

    def take_over(self, publisher: Publisher, now: float) -> None:
        """Let a connected publisher feed the tracks from now on, instead of the current one if there is one.

        With another video codec the tracks are replaced by new ones without viewers; the caller ends the viewers'
        connections first.
        """
        self.release(self.publisher)
        following = self.format.fed_by(publisher.plan)
        if self.keeps_viewers(publisher.plan):
            self.format = following
        else:
            self._set_format(following)
        self.publisher, self._plan = publisher, publisher.plan
        self._ntp_offset = None
        self._reported_at = dict.fromkeys(self._all_tracks(), now)
        self._meter = SourceMeter(codec=self.format.video_codec, now=now)
        # Before the first packet: the other engines need the plan to understand it.
        publisher.relays = self.relays
        self._allocation.publisher_changed()
        for relay in self.relays:
            relay.start_publisher(publisher.plan, publisher.rids)
        for incoming in publisher.tracks:
            if incoming.plan.kind is MediaKind.VIDEO:
                self._video.feed_from(incoming, self._meter)
            else:
                incoming.feed([self._audio], self._meter)

    def release(self, publisher: Publisher | None) -> None:
        """Detach a publisher from the tracks, whose viewers then get nothing until `take_over`.

        A publisher that does not feed the source, for instance one that was replaced, is ignored.
        """
        if publisher is None or publisher is not self.publisher:
            return
        self.publisher = None
        publisher.relays = ()
        for relay in self.relays:
            relay.end_publisher()
        self._meter = None
        self._video.detach()
        for incoming in publisher.tracks:
            incoming.detach()

    def codec_changed(self, publisher: Publisher, now: float) -> None:
        """The publisher sends another video codec than before: report it, so that viewers who cannot follow are closed.

        A publisher that does not feed the source is ignored.
        """
        if publisher is self.publisher:
            self._on_codec_changed(self, publisher, now)

    def receive_sender_report(
        self, publisher: Publisher, incoming: IncomingTrack, layer: Layer, report: SenderReport, now: float
    ) -> None:
        """Send the publisher's sender report on to the viewers of its layer, with its NTP time moved onto the server's
        clock.

        The first report sets the offset between the two clocks, and every later report of the same publisher is moved
        by the same offset. So viewers see one clock whichever publisher sends, and the audio and video of one publisher
        stay in sync (RFC 3550 section 6.4.1).
        """
        if publisher is not self.publisher:
            return
        if self._ntp_offset is None:
            self._ntp_offset = self.ntp_now() - report.ntp
        ntp = (report.ntp + self._ntp_offset) & 0xFFFFFFFFFFFFFFFF
        for selection in incoming.selections:
            if selection.current is layer:
                track = selection.track
                self._reported_at[track] = now
                self._send_report_of(track, ntp=ntp, rtp_timestamp=track.outgoing_timestamp(report.rtp_timestamp))

    def handle_timers(self, now: float) -> None:
        """Let the publisher send its NACKs, reports and keyframe requests, and choose what viewers are sent."""
        if self.publisher is not None:
            self.publisher.handle_timers(now)
            audio = self.publisher.track_of(MediaKind.AUDIO)
            rates = [each.meter.rates() for each in audio.layers.values()] if audio is not None else []
            self._allocation.audio_bps = max((each[-1].bitrate_bps for each in rates if each), default=0)
        self._allocation.handle_timers(self.viewers.values(), now)

    def _limit_publisher(self, bitrate_bps: int | None) -> None:
        # The viewers of other engines are not known here.
        if self.publisher is not None and not self.relays:
            self.publisher.limit_to(bitrate_bps)

    def each_second(self, now: float) -> None:
        """Send sender reports by the server's clock for a track whose publisher has sent none for 3 s, and drop the
        tracks of layers that nobody watches any more.

        Without any report, viewers could not synchronise audio and video (RFC 3550 section 6.4.1).
        """
        self._video.drop_unused([viewer.video for viewer in self.viewers.values() if viewer.video is not None], now)
        tracks = list(self._all_tracks())
        self._reported_at = {track: self._reported_at.get(track, now) for track in tracks}
        for track in tracks:
            timestamp = track.timestamp_at(now)
            if timestamp is not None and now - self._reported_at[track] > _MAX_REPORT_SILENCE_SECONDS:
                self._send_report_of(track, ntp=self.ntp_now(), rtp_timestamp=timestamp)

    def measure(self, now: float) -> list[SourceMeasured]:
        """The measurement of the last second; empty without a connected publisher."""
        if self._meter is None or self.publisher is None or self.publisher.connection_id is None:
            return []
        return [
            self._measured(
                self.publisher.connection_id,
                self._meter.take(now),
                video_codec=self._received_codec(MediaKind.VIDEO),
                audio_codec=self._received_codec(MediaKind.AUDIO),
            )
        ]

    def _received_codec(self, kind: MediaKind) -> Codec | None:
        """The codec of a kind of which packets have been forwarded; None if there were none."""
        incoming = None if self.publisher is None else self.publisher.track_of(kind)
        return incoming.plan.codec if incoming is not None and incoming.current is not None else None
