"""One feed of a source: what one encoder brings, shown to viewers just now or standing by.

It measures the stream and keeps its last group of pictures, so that viewers can begin with it at any moment.
"""

from typing import NamedTuple

import structlog

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.media_bus import Unit
from stagebook.media.rtc.rtp.source_meter import SourceMeasurement, SourceMeter
from stagebook.media.rtc.sfu.encoder.gop_cache import GopCache

_log = structlog.get_logger(__name__)


class Moment(NamedTuple):
    """When something came, by both clocks."""

    timestamp: int
    """The encoder's: ticks of the kind's clock rate, not wrapped."""
    at: float
    """Ours: monotonic seconds."""


class EncoderFeed:
    """What one connection feeds."""

    def __init__(self, connection_id: str, *, video_parameters: str, now: float) -> None:
        """`video_parameters` as the Hello's. `now`: monotonic seconds."""
        self.connection_id = connection_id
        self.video_parameters = video_parameters
        self.group = GopCache()
        self.newest: dict[MediaKind, Moment] = {}
        """The latest of each kind that came."""
        self.video_at = float("-inf")
        """When its last picture came."""
        self.has_ended = False
        """Nothing comes any more, but nobody has closed the connection yet."""
        self._meter = SourceMeter(codec=Codec.H264, now=now)
        self._was_told_of_rare_keyframes = False

    def take(self, unit: Unit, now: float) -> None:
        """Note what came."""
        newest = self.newest.get(unit.kind)
        if newest is None or unit.timestamp > newest.timestamp:
            self.newest[unit.kind] = Moment(unit.timestamp, now)
        if unit.kind is MediaKind.AUDIO:
            self._meter.add_bytes(sum(len(payload) for payload in unit.payloads))
            return
        self.video_at = now
        self._keep(unit)
        for payload in unit.payloads:
            self._meter.add_video(payload, unit.timestamp & 0xFFFFFFFF)

    def _keep(self, unit: Unit) -> None:
        had_group = self.group.current is not None
        self.group.add(unit.payloads, is_keyframe=unit.is_keyframe)
        if had_group and self.group.current is None and not self._was_told_of_rare_keyframes:
            self._was_told_of_rare_keyframes = True
            _log.warning(
                "an encoder's keyframes are too far apart: new viewers see nothing until the next one",
                connection_id=self.connection_id,
            )

    def measure(self, now: float) -> SourceMeasurement:
        """What was measured since the last call."""
        return self._meter.take(now)
