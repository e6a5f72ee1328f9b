"""A source that encoders feed: one feed is active, the others stand by and replace it when it ends or falls silent.

The switch happens when a standby feed brings a video frame while the active feed has ended or has brought no frame for
SILENCE_SECONDS. A feed that was replaced does not become active again by itself.

Each encoder has its own clock with an arbitrary zero. The source has one clock for its viewers, so that timestamps
never go back and audio and video stay in sync across a switch: source clock = feed clock + offset. The offset is
chosen at the switch and is the same for audio and video. It is a whole number of steps of 1/6000 s, because 6000 is
the greatest common divisor of the two clock rates (90,000 and 48,000): only then is it a whole number of ticks of both
clocks.

Sender reports map the source clock to NTP time by one fixed point, taken when the first feed becomes active. Every
later report of both tracks is computed from the time since that point, so audio and video have the same mapping.
"""

from collections.abc import Callable, Mapping
from typing import Final

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.connection_statistics import LayerReason
from stagebook.media.media_bus import CLOCK_RATES, Unit
from stagebook.media.port import SourceMeasured
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.encoder_feed import ClockSample, EncoderFeed
from stagebook.media.rtc.sfu.encoder.encoder_track import EncoderTrack
from stagebook.media.rtc.sfu.encoder.replay_pacer import ReplayPacer
from stagebook.media.rtc.sfu.encoder.still_pictures import StillPictures
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.rtc.sfu.relay.source_relay import SourceRelay
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.viewer import Viewer

SILENCE_SECONDS: Final = 1.0
"""An active feed without a video frame for so long is replaced by a standby feed that brings one."""
_STEPS_PER_SECOND: Final = 6000
_FIRST_OFFSET_BITS: Final = 24
_CODECS: Final = {MediaKind.VIDEO: Codec.H264, MediaKind.AUDIO: Codec.OPUS}


class EncoderSource(MediaSource):
    """One publication by encoders."""

    def __init__(
        self,
        source_id: str,
        *,
        video_parameters: str,
        name: str,
        random_bits: Callable[[int], int],
        wall_clock: Callable[[], float],
        pacer: ReplayPacer,
        schedule: SendSchedule | None = None,
    ) -> None:
        """`video_parameters` is the SDP fmtp value of the first feed's Hello."""
        super().__init__(source_id, name=name, wall_clock=wall_clock)
        self.active: EncoderFeed | None = None
        """The feed that viewers see; after its end, the last one. None until a feed has brought a video frame."""
        self.feeds: dict[str, EncoderFeed] = {}
        """By connection id."""
        self._random_bits = random_bits
        self._offset_steps = 0
        """The source clock minus the active feed's clock."""
        self._clock: tuple[float, int, int] | None = None
        """One instant as (monotonic seconds, NTP time, source clock in steps): the fixed point of all sender
        reports."""
        self._set_format(video_parameters)
        self._tracks = {
            kind: EncoderTrack(
                kind=kind,
                codec=codec,
                clock_rate=CLOCK_RATES[kind],
                random_bits=random_bits,
                pacer=pacer,
                on_started=self._report_to,
                schedule=schedule,
            )
            for kind, codec in _CODECS.items()
        }
        self._stills = StillPictures(self._tracks[MediaKind.VIDEO], self._tracks[MediaKind.AUDIO], schedule=schedule)

    def _set_format(self, video_parameters: str) -> None:
        self.format = SourceFormat(
            video_codec=Codec.H264,
            video_parameters=video_parameters,
            audio_codec=Codec.OPUS,
            audio_parameters="",
            # The Opus of the media bus always has two channels, also for a mono encoder.
            audio_is_stereo=True,
        )

    @property
    def tracks(self) -> Mapping[MediaKind, EncoderTrack]:
        """The audio and the video track. They outlive the feeds."""
        return self._tracks

    # Feeds

    def add(self, feed: EncoderFeed) -> None:
        """Add a feed. It becomes active with its first video frame if no other feed is active, and stands by
        otherwise."""
        self.feeds[feed.connection_id] = feed

    def remove(self, connection_id: str) -> None:
        """Remove a feed whose connection is closed. Unknown ids are ignored."""
        feed = self.feeds.pop(connection_id, None)
        if feed is not None:
            feed.close()

    def set_ended(self, connection_id: str) -> None:
        """Note that a feed's media bus connection is closed; the feed stays until `remove`. Unknown ids are ignored."""
        feed = self.feeds.get(connection_id)
        if feed is not None:
            feed.has_ended = True

    def receive(self, connection_id: str, unit: Unit, now: float) -> None:
        """Receive a unit of a feed, and send it to the viewers if the feed is active.

        A video frame of a standby feed activates it if the active one has ended or is silent. Raises KeyError for an
        unknown feed. The caller has checked that the payloads fit into RTP packets.
        """
        feed = self.feeds[connection_id]
        feed.receive(unit, now)
        if feed is not self.active:
            if unit.kind is not MediaKind.VIDEO or not self._is_active_replaceable(now):
                return
            self._activate(feed, now)
        self._tracks[unit.kind].send(
            unit.payloads,
            timestamp=unit.timestamp + self._offset(unit.kind),
            can_start=unit.is_keyframe or unit.kind is MediaKind.AUDIO,
            gop=feed.gop_cache.current if unit.kind is MediaKind.VIDEO else None,
            now=now,
        )
        for relay in self.relays:
            relay.relay_unit(unit)

    def _is_active_replaceable(self, now: float) -> bool:
        """Whether a feed that has just brought a video frame shall become the active one."""
        return self.active is None or self.active.has_ended or now - self.active.last_frame_at > SILENCE_SECONDS

    def _activate(self, feed: EncoderFeed, now: float) -> None:
        """Send audio and video of this feed from now on. It has just brought a video frame."""
        self.active = feed
        self._set_format(feed.video_parameters)
        self._set_offset(feed, now)
        newest = feed.newest[MediaKind.VIDEO].timestamp + self._offset(MediaKind.VIDEO)
        self._tracks[MediaKind.VIDEO].switch_feed(feed.gop_cache.current, newest_timestamp=newest, now=now)
        gop = feed.gop_cache.current
        for relay in self.relays:
            # Without the frame that has just come, which is relayed as a unit.
            relay.start_encoder(feed.video_parameters, () if gop is None else gop.timed_frames()[:-1])

    # Relays

    def describe(self) -> SourceDescription:
        """The format of the video; the audio of encoders has only one."""
        return SourceDescription(plan=None, video_parameters=self.format.video_parameters)

    def add_relay(self, relay: SourceRelay) -> None:
        """Relay the active feed, now and later, with its GOP so far."""
        self.relays.append(relay)
        if self.active is not None:
            gop = self.active.gop_cache.current
            relay.start_encoder(self.active.video_parameters, () if gop is None else gop.timed_frames())

    # Clocks

    def _offset(self, kind: MediaKind) -> int:
        """The offset in ticks of the kind's clock."""
        return self._offset_steps * (CLOCK_RATES[kind] // _STEPS_PER_SECOND)

    def _set_offset(self, feed: EncoderFeed, now: float) -> None:
        """Set the offset for a feed that becomes active.

        For each track, the newest unit of the feed has to get the track's last timestamp plus the time since then. The
        larger of the two offsets is used: with it no track's timestamps go back. The first feed of a source gets a
        random offset (RFC 3550 section 5.1).
        """
        video = feed.newest[MediaKind.VIDEO]
        steps: list[int] = []
        for kind, rate in CLOCK_RATES.items():
            track, newest = self._tracks[kind], feed.newest.get(kind)
            if newest is None or now - newest.at > SILENCE_SECONDS:
                # No recent unit of this kind: use the time of the video frame, on this kind's clock.
                newest = ClockSample(video.timestamp * rate // CLOCK_RATES[MediaKind.VIDEO], now)
            if track.newest_timestamp is not None:
                elapsed = max(1, round((newest.at - track.newest_at) * rate))
                missing = track.newest_timestamp + elapsed - newest.timestamp
                # Rounded up to whole steps.
                steps.append(-(-missing // (rate // _STEPS_PER_SECOND)))
        self._offset_steps = max(steps) if steps else self._random_bits(_FIRST_OFFSET_BITS)
        if self._clock is None:
            clock_steps = video.timestamp // (CLOCK_RATES[MediaKind.VIDEO] // _STEPS_PER_SECOND) + self._offset_steps
            self._clock = (now, self.ntp_now(), clock_steps)

    def _report_clock(self, track: EncoderTrack, now: float, down_track: DownTrack | None = None) -> None:
        """Send the viewers of a track, or one down track, the NTP time and the RTP timestamp of `now`."""
        if self._clock is None:
            return
        then, ntp, steps = self._clock
        elapsed = now - then
        timestamp = steps * (track.clock_rate // _STEPS_PER_SECOND) + round(elapsed * track.clock_rate)
        self._send_report(
            track,
            ntp=(ntp + int(elapsed * (1 << 32))) & 0xFFFFFFFFFFFFFFFF,
            rtp_timestamp=timestamp & 0xFFFFFFFF,
            down_track=down_track,
        )

    def _report_to(self, track: EncoderTrack, down_track: DownTrack, now: float) -> None:
        """Send a report as soon as a down track starts: the viewer can play audio and video in sync from the start."""
        self._report_clock(track, now, down_track)

    # Time

    def layer_reason(self, viewer: Viewer) -> LayerReason | None:
        """Why a viewer is sent the whole video, or still pictures."""
        return None if viewer.video is None else self._stills.reason(viewer, viewer.video)

    def handle_timers(self, now: float) -> None:
        """Choose between the whole video and still pictures for each viewer."""
        self._stills.handle_timers(self.viewers.values(), now)

    def each_second(self, now: float) -> None:
        """Send sender reports of both tracks to all viewers, from one mapping of the clocks, and drop old replays."""
        for track in self._tracks.values():
            track.expire_replays(now)
            self._report_clock(track, now)

    def measure(self, now: float) -> list[SourceMeasured]:
        """The measurement of the last second of each feed, active or not."""
        return [
            self._measured(
                feed.connection_id,
                feed.measure(now),
                video_codec=Codec.H264 if MediaKind.VIDEO in feed.newest else None,
                audio_codec=Codec.OPUS if MediaKind.AUDIO in feed.newest else None,
            )
            for feed in self.feeds.values()
        ]
