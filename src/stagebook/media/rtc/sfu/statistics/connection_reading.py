"""Reads the statistics of one connection (`media.connection_statistics`) when somebody asks for them.

Nothing is computed while nobody asks. The bitrate is the average since the last reading, so two readers at once see
averages over shorter times, which are right as well.
"""

from typing import Final

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.connection_statistics import ConnectionRole, ConnectionStatistics, StreamStatistics
from stagebook.media.rtc.ice.tcp_connection import TcpConnection
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer
from stagebook.media.rtc.sfu.viewer import Viewer
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack
from stagebook.media.rtc.transport.peer_connection import PeerConnection

_SHORTEST_SECONDS: Final = 0.5
"""Readings that follow each other faster repeat the bitrate."""


class ConnectionReading:
    """The readings of one connection. The first one counts from its opening."""

    def __init__(self, *, opened_at: float) -> None:
        """`opened_at` is in monotonic seconds, like all times."""
        self._read_at = opened_at
        self._octets = 0
        self._bitrate_bps = 0

    def of_publisher(self, peer: PeerConnection, publisher: Publisher, now: float) -> ConnectionStatistics:
        """Return what is known of a publisher's connection."""
        layers = [layer for track in publisher.tracks for layer in track.layers.values()]
        expected = sum(layer.receiver.expected_packets for layer in layers)
        lost = sum(layer.receiver.lost_packets for layer in layers)
        return ConnectionStatistics(
            connection_id=peer.connection_id,
            role=ConnectionRole.PUBLISHER,
            transport=_transport(peer),
            seconds=now - peer.opened_at,
            bitrate_bps=self._rate(sum(layer.received_octets for layer in layers), now),
            estimate_bps=publisher.feedback.allowed_bps,
            round_trip_seconds=publisher.timing.round_trip_seconds,
            loss=lost / expected if expected else None,
            nacked_packets=publisher.feedback.requested_packets,
            resent_packets=0,
            keyframe_requests=publisher.feedback.requested_keyframes,
            layer_reason=None,
            is_video_paused=False,
            streams=tuple(_received(track, layer) for track in publisher.tracks for layer in track.layers.values()),
        )

    def of_viewer(self, peer: PeerConnection, viewer: Viewer, source: MediaSource, now: float) -> ConnectionStatistics:
        """Return what is known of the connection of a viewer of `source`."""
        bandwidth, video = viewer.bandwidth, viewer.video
        return ConnectionStatistics(
            connection_id=peer.connection_id,
            role=ConnectionRole.VIEWER,
            transport=_transport(peer),
            seconds=now - peer.opened_at,
            bitrate_bps=self._rate(viewer.sent_octets, now),
            estimate_bps=bandwidth.estimate_bps,
            round_trip_seconds=bandwidth.round_trip_seconds,
            loss=bandwidth.loss,
            nacked_packets=viewer.repair.nacked_packets,
            resent_packets=viewer.repair.resent_packets,
            keyframe_requests=viewer.keyframe_requests,
            layer_reason=source.layer_reason(viewer),
            is_video_paused=video is not None and video.is_paused,
            streams=tuple(_sent(each, source, viewer) for each in viewer.streams),
        )

    def _rate(self, octets: int, now: float) -> int:
        seconds = now - self._read_at
        if seconds >= _SHORTEST_SECONDS:
            # A sender that restarts begins its counters again.
            self._bitrate_bps = round(max(0, octets - self._octets) * 8 / seconds)
            self._read_at, self._octets = now, octets
        return self._bitrate_bps


def _transport(peer: PeerConnection) -> str | None:
    path = peer.ice.path
    if path is None:
        return None
    return "tcp" if isinstance(path.socket, TcpConnection) else "udp"


def _received(track: IncomingTrack, layer: Layer) -> StreamStatistics:
    is_video = track.plan.kind is MediaKind.VIDEO
    width, height = layer.size if layer.pixels else (None, None)
    rates = layer.meter.rates() if is_video else ()
    receiver = layer.receiver
    return StreamStatistics(
        kind=track.plan.kind,
        layer=layer.encoding_id,
        width=width,
        height=height,
        frames_per_second=round(rates[-1].frames_per_second, 2) if rates else None,
        bitrate_bps=layer.bitrate_bps,
        packets=max(0, receiver.expected_packets - receiver.lost_packets),
        lost_packets=receiver.lost_packets,
        repaired_packets=receiver.missing.recovered,
        jitter_seconds=receiver.jitter_seconds,
    )


def _sent(stream: ViewerTrack, source: MediaSource, viewer: Viewer) -> StreamStatistics:
    is_video = stream.track.kind is MediaKind.VIDEO
    chosen = next((layer for layer in source.layers(viewer) if layer.is_selected), None) if is_video else None
    return StreamStatistics(
        kind=stream.track.kind,
        layer=None if chosen is None else chosen.encoding_id,
        width=chosen.width or None if chosen is not None else None,
        height=chosen.height or None if chosen is not None else None,
        frames_per_second=float(chosen.frames_per_second) if chosen is not None else None,
        bitrate_bps=None if chosen is None else chosen.bitrate_bps,
        packets=stream.down_track.packets,
        lost_packets=stream.lost_packets,
        repaired_packets=0,
        jitter_seconds=stream.jitter_seconds,
    )
