"""Makes the sources of WebRTC and their publishers, with the names and numbers that are unique in an engine."""

from collections.abc import Callable
from random import Random

from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sdp.media_plan import PublisherPlan
from stagebook.media.rtc.sfu.published_source import PublishedSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters


class SourceFactory:
    """The factory of one engine."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        wall_clock: Callable[[], float],
        randomness: Random,
        on_codec_changed: Callable[[PublishedSource, Publisher, float], None],
        schedule: SendSchedule | None = None,
    ) -> None:
        """`wall_clock` returns seconds since 1970. `on_codec_changed` is as in `PublishedSource`."""
        self._settings = settings
        self._wall_clock = wall_clock
        self._randomness = randomness
        self._on_codec_changed = on_codec_changed
        self._schedule = schedule
        self._cname = self._random_name()

    def make_source(self, source_id: str, plan: PublisherPlan) -> PublishedSource:
        """Make a source from the plan of its first publisher. The caller adds it to the table of sources."""
        return PublishedSource(
            source_id,
            plan,
            name=self._random_name(),
            video_codec=self._settings.video_codecs[0],
            random_bits=self._randomness.getrandbits,
            wall_clock=self._wall_clock,
            on_codec_changed=self._on_codec_changed,
            schedule=self._schedule,
        )

    def make_publisher(self, plan: PublisherPlan, source: PublishedSource, counters: MediaCounters) -> Publisher:
        """Make a publisher of a source that is not connected yet. `counters` count its media."""
        return Publisher(
            plan,
            ssrc=self._randomness.getrandbits(32),
            cname=self._cname.encode(),
            ceiling_bps=self._settings.max_bitrate_bps,
            listener=source,
            counters=counters,
        )

    def _random_name(self) -> str:
        return f"{self._randomness.getrandbits(96):024x}"
