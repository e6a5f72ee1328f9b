"""A source that encoders feed: one of them is shown, the others stand by and take its place when it ends or is silent.

Viewers see one stream and one clock, whoever is shown. Knows no socket.
"""

from collections.abc import Callable, Mapping
from typing import Final

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.media_bus import CLOCK_RATES, Unit
from stagebook.media.port import SourceMeasured
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed, Moment
from stagebook.media.rtc.sfu.encoder.encoder_track import EncoderTrack
from stagebook.media.rtc.sfu.encoder.replay_pacer import Pacer
from stagebook.media.rtc.sfu.source import Source

SILENCE_SECONDS: Final = 1.0
"""Without a picture for so long, the shown feed gives way to one that has pictures."""
_STEPS_PER_SECOND: Final = 6000
"""Clocks are moved by whole steps: the largest number that divides both clock rates, so that audio and video are always
moved by exactly the same time."""
_FIRST_STEP_BITS: Final = 24
_CODECS: Final = {MediaKind.VIDEO: Codec.H264, MediaKind.AUDIO: Codec.OPUS}


class EncoderSource(Source):
    """One publication by encoders."""

    def __init__(
        self,
        source_id: str,
        *,
        video_parameters: str,
        name: str,
        random_bits: Callable[[int], int],
        wall_clock: Callable[[], float],
        pacer: Pacer,
    ) -> None:
        super().__init__(source_id, name=name, wall_clock=wall_clock)
        self.shown: EncoderFeed | None = None
        """The one that viewers see, or saw last if it has ended; None until a feed has brought a picture."""
        self.feeds: dict[str, EncoderFeed] = {}
        """By connection id."""
        self._random_bits = random_bits
        self._steps = 0
        """How far the shown feed's clock is moved to be the source's."""
        self._clock: tuple[float, int, int] | None = None
        """(monotonic seconds, NTP, the source's clock in steps) of one moment: the line on which every report lies."""
        self._set_format(video_parameters)
        self._tracks = {
            kind: EncoderTrack(
                kind=kind,
                codec=codec,
                clock_rate=CLOCK_RATES[kind],
                random_bits=random_bits,
                pacer=pacer,
                on_begun=self._report_to,
            )
            for kind, codec in _CODECS.items()
        }

    def _set_format(self, video_parameters: str) -> None:
        self.format = SourceFormat(
            video_codec=Codec.H264,
            video_parameters=video_parameters,
            audio_codec=Codec.OPUS,
            audio_parameters="",
        )

    @property
    def tracks(self) -> Mapping[MediaKind, EncoderTrack]:
        """Both kinds."""
        return self._tracks

    # Feeds

    def add(self, feed: EncoderFeed) -> None:
        """Let another feed in: it is shown if there is no other, else it stands by."""
        self.feeds[feed.connection_id] = feed

    def remove(self, connection_id: str) -> None:
        """A feed is over. Unknown ids are fine."""
        feed = self.feeds.pop(connection_id, None)
        if feed is not None:
            feed.has_ended = True

    def end(self, connection_id: str) -> None:
        """Nothing more comes from a feed that nobody has closed yet. Unknown ids are fine."""
        feed = self.feeds.get(connection_id)
        if feed is not None:
            feed.has_ended = True

    def take(self, connection_id: str, unit: Unit, now: float) -> None:
        """Take what a feed brought, and pass it on if the feed is shown."""
        feed = self.feeds[connection_id]
        feed.take(unit, now)
        if feed is not self.shown:
            if unit.kind is MediaKind.VIDEO and self._gives_way(now):
                self._show(feed, now)
            else:
                return
        self._tracks[unit.kind].send(
            unit.payloads,
            timestamp=unit.timestamp + self._moved(unit.kind),
            begins=unit.is_keyframe or unit.kind is MediaKind.AUDIO,
            group=feed.group.current if unit.kind is MediaKind.VIDEO else None,
            now=now,
        )

    def _gives_way(self, now: float) -> bool:
        """Whether a feed that has just brought a picture shall take the place of the one that is shown."""
        return self.shown is None or self.shown.has_ended or now - self.shown.video_at > SILENCE_SECONDS

    def _show(self, feed: EncoderFeed, now: float) -> None:
        """Let a feed that has just brought a picture be shown from here on, sound and pictures alike."""
        self.shown = feed
        self._set_format(feed.video_parameters)
        self._place_clock(feed, now)
        newest = feed.newest[MediaKind.VIDEO].timestamp + self._moved(MediaKind.VIDEO)
        self._tracks[MediaKind.VIDEO].follow(feed.group.current, newest_timestamp=newest, now=now)

    # Clocks

    def _moved(self, kind: MediaKind) -> int:
        return self._steps * (CLOCK_RATES[kind] // _STEPS_PER_SECOND)

    def _place_clock(self, feed: EncoderFeed, now: float) -> None:
        """Move a feed's clock so that its picture that has just come is now, and so that no timestamp comes again."""
        video = feed.newest[MediaKind.VIDEO]
        steps: list[int] = []
        for kind, rate in CLOCK_RATES.items():
            track, came = self._tracks[kind], feed.newest.get(kind)
            if came is None or now - came.at > SILENCE_SECONDS:
                # Where it would be is known from the picture.
                came = Moment(video.timestamp * rate // CLOCK_RATES[MediaKind.VIDEO], now)
            if track.newest_timestamp is not None:
                passed = max(1, round((came.at - track.newest_at) * rate))
                missing = track.newest_timestamp + passed - came.timestamp
                steps.append(-(-missing // (rate // _STEPS_PER_SECOND)))
        self._steps = max(steps) if steps else self._random_bits(_FIRST_STEP_BITS)
        if self._clock is None:
            media = video.timestamp // (CLOCK_RATES[MediaKind.VIDEO] // _STEPS_PER_SECOND) + self._steps
            self._clock = (now, self._ntp_now(), media)

    def _report_at(self, track: EncoderTrack, now: float, outlet: DownTrack | None = None) -> None:
        if self._clock is None:
            return
        then, ntp, steps = self._clock
        passed = now - then
        timestamp = steps * (track.clock_rate // _STEPS_PER_SECOND) + round(passed * track.clock_rate)
        self._report(
            track,
            ntp=(ntp + int(passed * (1 << 32))) & 0xFFFFFFFFFFFFFFFF,
            rtp_timestamp=timestamp & 0xFFFFFFFF,
            outlet=outlet,
        )

    def _report_to(self, track: EncoderTrack, outlet: DownTrack, now: float) -> None:
        """An outlet has begun: tell it the clock at once, so that lips and voice are together from the start."""
        self._report_at(track, now, outlet)

    # Time

    def look_after(self, now: float) -> None:
        """Nothing is due more than once a second."""

    def tick(self, now: float) -> None:
        """Once a second: tell all viewers the clock."""
        for track in self._tracks.values():
            track.forget(now)
            self._report_at(track, now)

    def measure(self, now: float) -> list[SourceMeasured]:
        """What the last second was, for each feed, shown or not."""
        return [
            self._fact(
                feed.connection_id,
                feed.measure(now),
                video_codec=Codec.H264 if MediaKind.VIDEO in feed.newest else None,
                audio_codec=Codec.OPUS if MediaKind.AUDIO in feed.newest else None,
            )
            for feed in self.feeds.values()
        ]
