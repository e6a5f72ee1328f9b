"""A viewer's end of one connection: its outlets on a source's tracks, what it asks for, and its sender reports.

Knows RTP and RTCP of one viewer; not how packets are encrypted or addressed.
"""

from collections.abc import Callable, Mapping

from stagebook.media.rtc.rtp.rtcp import KeyframeRequest, Nack, parse_rtcp, write_sender_report
from stagebook.media.rtc.rtp.rtp_packet import HEADER
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.source_track import SentPacket, SourceTrack
from stagebook.media.rtc.transport.peer_connection import PeerConnection

RESENDS_PER_SECOND = 600
MAX_RESENDS_AT_ONCE = 300
"""One NACK may name thousands of packets: what a viewer can make us send again is bounded."""


class ViewerTrack:
    """One stream to one viewer: the outlet of the hot loop, and the retransmission stream beside it (RFC 4588)."""

    def __init__(
        self,
        *,
        track: SourceTrack,
        outlet: DownTrack,
        rtx_ssrc: int | None,
        rtx_payload_type: int | None,
        rtx_sequence: int,
    ) -> None:
        self.track = track
        self.outlet = outlet
        self.rtx_ssrc = rtx_ssrc
        self.rtx_payload_type = rtx_payload_type
        self._rtx_sequence = rtx_sequence

    def resend(self, sequence: int) -> bytes | None:
        """The RTP packet that answers a NACK of `sequence`: by RTX, or without it as it was; None if not kept."""
        packet = self.track.sent(self.outlet, sequence)
        if packet is None:
            return None
        if self.rtx_payload_type is None or self.rtx_ssrc is None:
            return self._write(packet, self.outlet.payload_type, sequence, self.outlet.ssrc) + packet.payload
        self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
        header = self._write(packet, self.rtx_payload_type, self._rtx_sequence, self.rtx_ssrc)
        return header + sequence.to_bytes(2, "big") + packet.payload

    @staticmethod
    def _write(packet: SentPacket, payload_type: int, sequence: int, ssrc: int) -> bytes:
        return HEADER.pack(0x80, packet.marker << 7 | payload_type, sequence, packet.timestamp, ssrc)


def make_viewer_track(plan: TrackPlan, track: SourceTrack, random_bits: Callable[[int], int]) -> ViewerTrack:
    """The stream that a viewer's offer got."""
    return ViewerTrack(
        track=track,
        outlet=DownTrack(ssrc=random_bits(32), payload_type=plan.payload_type),
        rtx_payload_type=plan.rtx_payload_type,
        rtx_ssrc=None if plan.rtx_payload_type is None else random_bits(32),
        rtx_sequence=random_bits(15),
    )


class Viewer:
    """The media end of a viewer's connection. `tracks` by the SSRC that we send on."""

    def __init__(self, *, tracks: Mapping[int, ViewerTrack], cname: bytes) -> None:
        self._tracks = tracks
        self._cname = cname
        self._peer: PeerConnection | None = None
        self._budget = float(MAX_RESENDS_AT_ONCE)
        self._budget_at = 0.0

    def connected(self, peer: PeerConnection, now: float) -> None:
        """The transport is up: join the tracks."""
        self._peer = peer
        self._budget_at = now
        self.path_changed()
        for viewer_track in self._tracks.values():
            viewer_track.outlet.srtp = peer.outbound_srtp
            viewer_track.track.add(viewer_track.outlet, now)

    def path_changed(self) -> None:
        """The peer's address changed."""
        path = None if self._peer is None else self._peer.path
        if path is None:
            return
        for viewer_track in self._tracks.values():
            viewer_track.outlet.sendto = path.socket.sendto
            viewer_track.outlet.address = path.address

    def closed(self) -> None:
        """Leave the tracks."""
        for viewer_track in self._tracks.values():
            viewer_track.track.remove(viewer_track.outlet)

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Viewers send no media; whatever comes is dropped."""

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Serve NACKs from what is kept, pass on keyframe requests; receiver reports end here."""
        for message in parse_rtcp(compound):
            if isinstance(message, Nack):
                viewer_track = self._tracks.get(message.media_ssrc)
                if viewer_track is not None:
                    self._resend(viewer_track, message.sequences, now)
            elif isinstance(message, KeyframeRequest):
                for ssrc in message.media_ssrcs:
                    if ssrc in self._tracks:
                        self._tracks[ssrc].track.refresh(self._tracks[ssrc].outlet, now)

    def report(self, track: SourceTrack, *, ntp: int, rtp_timestamp: int, only: DownTrack | None = None) -> None:
        """Send the clocks of a track's publisher on, with the counters of this viewer's own stream. `only`: for one
        outlet, which may be another viewer's."""
        if self._peer is None:
            return
        for viewer_track in self._tracks.values():
            outlet = viewer_track.outlet
            if viewer_track.track is track and only in (None, outlet) and track.is_live(outlet):
                report = write_sender_report(
                    ssrc=outlet.ssrc,
                    ntp=ntp,
                    rtp_timestamp=rtp_timestamp,
                    packets=outlet.packets,
                    octets=track.sent_octets(outlet),
                    cname=self._cname,
                )
                self._peer.send_rtcp(report)

    def _resend(self, viewer_track: ViewerTrack, sequences: tuple[int, ...], now: float) -> None:
        self._budget = min(MAX_RESENDS_AT_ONCE, self._budget + (now - self._budget_at) * RESENDS_PER_SECOND)
        self._budget_at = now
        for sequence in sequences:
            if self._budget < 1 or self._peer is None:
                return
            packet = viewer_track.resend(sequence)
            if packet is not None:
                self._budget -= 1
                self._peer.send_rtp(packet)
