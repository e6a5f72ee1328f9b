"""One feed of a source: the units that one encoder sends, their measurement, and the cached GOP.

Every feed of a source is received and measured, the active one (which viewers see) and the standby ones. A feed can be
relayed by itself, to a tap that records this encoder whatever viewers see.
"""

from typing import NamedTuple

import structlog

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.media_bus import Unit
from stagebook.media.rtc.rtp.source_meter import SourceMeasurement, SourceMeter
from stagebook.media.rtc.sfu.encoder.gop_cache import GopCache
from stagebook.media.rtc.sfu.relay.source_relay import SourceRelay

_log = structlog.get_logger(__name__)


class ClockSample(NamedTuple):
    """One instant by the encoder's clock and by the server's."""

    timestamp: int
    """The encoder's: ticks of the kind's clock rate, not wrapped."""
    at: float
    """The server's: monotonic seconds."""


class EncoderFeed:
    """The feed of one encoder's connection."""

    def __init__(self, connection_id: str, *, video_parameters: str, now: float) -> None:
        """`video_parameters` is the SDP fmtp value of the feed's Hello. `now` is in monotonic seconds."""
        self.connection_id = connection_id
        self.video_parameters = video_parameters
        self.gop_cache = GopCache()
        self.newest: dict[MediaKind, ClockSample] = {}
        """The unit with the highest timestamp of each kind."""
        self.last_frame_at = float("-inf")
        """When the last video frame arrived."""
        self.has_ended = False
        """The media bus connection is closed, but the encoder's connection has not been closed yet."""
        self.relays: list[SourceRelay] = []
        """The open relays of this feed alone."""
        self._is_closed = False
        self._meter = SourceMeter(codec=Codec.H264, now=now)
        self._warned_of_rare_keyframes = False

    def receive(self, unit: Unit, now: float) -> None:
        """Measure a unit, relay it, and add a video frame to the cached GOP. Logs once if keyframes are too rare for
        the cache."""
        for relay in self.relays:
            relay.relay_unit(unit)
        newest = self.newest.get(unit.kind)
        if newest is None or unit.timestamp > newest.timestamp:
            self.newest[unit.kind] = ClockSample(unit.timestamp, now)
        if unit.kind is MediaKind.AUDIO:
            self._meter.add_bytes(sum(len(payload) for payload in unit.payloads))
            return
        self.last_frame_at = now
        self._cache(unit)
        for payload in unit.payloads:
            self._meter.add_video(payload, unit.timestamp & 0xFFFFFFFF)

    def _cache(self, unit: Unit) -> None:
        had_gop = self.gop_cache.current is not None
        self.gop_cache.add(unit.payloads, is_keyframe=unit.is_keyframe, timestamp=unit.timestamp)
        if had_gop and self.gop_cache.current is None and not self._warned_of_rare_keyframes:
            self._warned_of_rare_keyframes = True
            _log.warning(
                "the encoder sends keyframes too rarely: new viewers get no video until the next keyframe",
                connection_id=self.connection_id,
            )

    def add_relay(self, relay: SourceRelay) -> None:
        """Relay this feed from now on, active or not, with its GOP so far. The relay of a closed feed is finished."""
        self.relays.append(relay)
        gop = self.gop_cache.current
        relay.start_encoder(self.video_parameters, () if gop is None else gop.timed_frames())
        if self._is_closed:
            relay.finish()

    def remove_relay(self, relay: SourceRelay) -> None:
        """Relay to this receiver no longer."""
        self.relays.remove(relay)

    def close(self) -> None:
        """The encoder's connection is closed: end the relays."""
        self.has_ended = self._is_closed = True
        for relay in self.relays:
            relay.finish()

    def measure(self, now: float) -> SourceMeasurement:
        """The bitrate, frame rate and frame size since the last call, or since the feed began."""
        return self._meter.take(now)
