"""The counters of one engine's media, and the report of them that the engine process sends to the server.

All counters are totals since the start of the process. They are plain integers of one object, which the parts of an
engine share, so that counting costs an addition. The hot loop (`down_track.fan_out`) counts once for a packet, not once
for each viewer.
"""

from typing import TypeVar

import msgspec

from stagebook.media.rtc.transport.transport_statistics import TransportStatistics


class MediaCounters(msgspec.Struct, kw_only=True):
    """Totals over all connections of an engine. "Lost" packets are those of the stream itself: a packet that a
    retransmission replaced was lost and is counted as recovered."""

    missing_packets: int = 0
    """RTP packets of publishers that had not arrived when a later one did."""
    recovered_packets: int = 0
    """Those of them that arrived later, by retransmission or out of order."""
    requested_packets: int = 0
    """Requests for a missing packet in NACKs to publishers. A packet can be requested several times."""
    requested_keyframes: int = 0
    """PLI and FIR messages to publishers."""
    feed_units: int = 0
    """Video frames and audio packets of encoders."""
    feed_bytes: int = 0
    """Their payload bytes."""
    sent_packets: int = 0
    """RTP packets to viewers, without retransmissions."""
    sent_bytes: int = 0
    """Bytes of those packets with their RTP headers, before encryption."""
    lost_packets: int = 0
    """Packets that viewers report as lost in their receiver reports (RFC 3550 section 6.4.1)."""
    nacked_packets: int = 0
    """Packets that viewers requested by NACK, within the limits of a viewer."""
    resent_packets: int = 0
    """Retransmissions to viewers."""
    resent_bytes: int = 0
    """Bytes of those packets with their RTP headers, before encryption."""
    keyframe_requests: int = 0
    """PLI and FIR messages of viewers, within the limits of a viewer."""


class EngineStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine has done since its start, and what it has now."""

    media: MediaCounters
    transport: TransportStatistics
    cpu_seconds: float = 0.0
    """CPU time of the process."""
    sources: int = 0
    publishers: int = 0
    """Open WebRTC connections of publishers, connecting ones included."""
    viewers: int = 0
    """Open connections of viewers, connecting ones included."""
    feeds: int = 0
    """Open feeds of encoders, unused tickets included."""
    connecting: int = 0
    """WebRTC connections whose handshake is not complete."""
    tcp_connections: int = 0
    """Open TCP connections of media, those without a verified check included."""

    def continued_from(self, ended: "EngineStatistics") -> "EngineStatistics":
        """Return these statistics with the totals of an engine that has ended added: the new engine continues them."""
        return msgspec.structs.replace(
            self,
            media=_sum(self.media, ended.media),
            transport=_sum(self.transport, ended.transport),
            cpu_seconds=self.cpu_seconds + ended.cpu_seconds,
        )

    def without_connections(self) -> "EngineStatistics":
        """Return the totals alone, as of an engine that has lost all that it had."""
        return msgspec.structs.replace(
            self, sources=0, publishers=0, viewers=0, feeds=0, connecting=0, tcp_connections=0
        )


NO_STATISTICS = EngineStatistics(media=MediaCounters(), transport=TransportStatistics())
"""Those of an engine that has not reported yet."""

_CountersT = TypeVar("_CountersT", MediaCounters, TransportStatistics)


def _sum(one: _CountersT, other: _CountersT) -> _CountersT:
    return type(one)(**{name: getattr(one, name) + getattr(other, name) for name in one.__struct_fields__})
