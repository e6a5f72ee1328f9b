"""A viewer's end of one connection: its streams on a source's tracks, its RTCP feedback, and the reports it is sent.

A viewer sends NACKs and keyframe requests. NACKs are answered from the track's history (as RTX, RFC 4588, if that was
negotiated); keyframe requests go to the track. The losses of receiver reports are counted; nothing depends on them.
"""

from collections.abc import Callable, Mapping

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.rtp.rtcp import KeyframeRequest, Nack, ReceiverReport, make_parse_budget, parse_rtcp
from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget
from stagebook.media.rtc.rtp.rtcp_writer import write_sender_report
from stagebook.media.rtc.sdp.media_plan import ViewerPlan
from stagebook.media.rtc.sdp.sdp_answer import SentTrack
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.engine_statistics import MediaCounters
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack
from stagebook.media.rtc.transport.peer_connection import PeerConnection

RESENDS_PER_SECOND = 600
MAX_RESENDS_AT_ONCE = 300
"""Limits of the retransmissions to one viewer: rate and burst. One NACK message may list thousands of packets, so
without a limit a viewer could multiply its own traffic. A packet that the track no longer holds counts too, because
looking it up is work as well."""
KEYFRAME_REQUESTS_PER_SECOND = 0.5
MAX_KEYFRAME_REQUESTS_AT_ONCE = 6
"""Limits of the keyframe requests of one viewer: rate and burst. A keyframe costs the publisher, and so all viewers,
the bits of many frames."""
KEYFRAME_REQUEST_INTERVAL_SECONDS = 0.3
"""Requests of a viewer that follow each other faster count as one: clients repeat one until the keyframe comes."""


class Viewer:
    """The media endpoint of a viewer's connection."""

    def __init__(self, *, tracks: Mapping[int, ViewerTrack], cname: bytes, counters: MediaCounters) -> None:
        """`tracks` by the SSRC of their down track. `cname` is the RTCP CNAME of the source. `counters` are those of
        the engine."""
        self._tracks = tracks
        self._counters = counters
        self._cname = cname
        self._peer: PeerConnection | None = None
        self._rtcp = make_parse_budget()
        self._resends = RtcpBudget(per_second=RESENDS_PER_SECOND, burst=MAX_RESENDS_AT_ONCE)
        self._keyframe_requests = RtcpBudget(
            per_second=KEYFRAME_REQUESTS_PER_SECOND, burst=MAX_KEYFRAME_REQUESTS_AT_ONCE
        )
        self._keyframe_requested_at = float("-inf")

    @property
    def video(self) -> ViewerTrack | None:
        """The stream of video; None for a viewer of audio alone."""
        return next((each for each in self._tracks.values() if each.track.kind is MediaKind.VIDEO), None)

    # MediaEndpoint

    def connected(self, peer: PeerConnection, now: float) -> None:
        """The transport is up: give the down tracks their SRTP session and path, and start them."""
        self._peer = peer
        self.path_changed()
        for viewer_track in self._tracks.values():
            viewer_track.down_track.srtp = peer.outbound_srtp
            viewer_track.start(now)

    def path_changed(self) -> None:
        """Send to the peer's new address, from the socket that it reached. Without consent, send nothing."""
        path = None if self._peer is None else self._peer.ice.path
        for viewer_track in self._tracks.values():
            viewer_track.down_track.set_path(path)

    def closed(self) -> None:
        """The connection is closed: stop the down tracks, which hold libsrtp's handle, before it is freed."""
        for viewer_track in self._tracks.values():
            viewer_track.close()

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Drop the packet: viewers send no media."""

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Answer NACKs (RFC 4585 section 6.2.1), pass keyframe requests to the track, and count reported losses.

        Each packet and item of a compound, each lookup of a NACK and each keyframe request takes a unit of a budget.
        What is above a budget is dropped: the viewer repeats what it still needs.
        """
        for budget in (self._rtcp, self._resends, self._keyframe_requests):
            budget.renew(now)
        for message in parse_rtcp(compound, self._rtcp):
            if isinstance(message, Nack):
                viewer_track = self._tracks.get(message.media_ssrc)
                if viewer_track is not None:
                    self._resend(viewer_track, message)
            elif isinstance(message, KeyframeRequest):
                self._request_keyframes(message, now)
            elif isinstance(message, ReceiverReport):
                self._count_losses(message)

    # To the viewer

    def send_report(self, track: SourceTrack, *, ntp: int, rtp_timestamp: int, only: DownTrack | None = None) -> None:
        """Send a sender report for the viewer's stream of `track`, with the stream's own counters and timestamps.

        With `only` it is sent only if the stream is that down track, which may belong to another viewer.
        """
        if self._peer is None:
            return
        for viewer_track in self._tracks.values():
            down_track = viewer_track.down_track
            if viewer_track.track is track and only in (None, down_track) and track.has_started(down_track):
                report = write_sender_report(
                    ssrc=down_track.ssrc,
                    ntp=ntp,
                    rtp_timestamp=(rtp_timestamp + track.timestamp_offset(down_track)) & 0xFFFFFFFF,
                    packets=down_track.packets,
                    octets=track.sent_octets(down_track),
                    cname=self._cname,
                )
                self._peer.send_rtcp(report)

    def _request_keyframes(self, request: KeyframeRequest, now: float) -> None:
        for ssrc in request.media_ssrcs:
            if ssrc in self._tracks and self._may_request_keyframe(now):
                self._counters.keyframe_requests += 1
                viewer_track = self._tracks[ssrc]
                viewer_track.track.handle_keyframe_request(viewer_track.down_track, now)

    def _count_losses(self, report: ReceiverReport) -> None:
        for block in report.blocks:
            viewer_track = self._tracks.get(block.ssrc)
            if viewer_track is not None:
                self._counters.lost_packets += viewer_track.take_lost(block.packets_lost)

    def _may_request_keyframe(self, now: float) -> bool:
        if now - self._keyframe_requested_at < KEYFRAME_REQUEST_INTERVAL_SECONDS or not self._keyframe_requests.take():
            return False
        self._keyframe_requested_at = now
        return True

    def _resend(self, viewer_track: ViewerTrack, nack: Nack) -> None:
        for sequence in nack.sequences():
            if self._peer is None or not self._resends.take():
                return
            self._counters.nacked_packets += 1
            packet = viewer_track.resend(sequence)
            if packet is not None:
                self._counters.resent_packets += 1
                self._counters.resent_bytes += len(packet)
                self._peer.send_rtp(packet)


def make_viewer(
    plan: ViewerPlan,
    tracks: Mapping[MediaKind, SourceTrack],
    *,
    name: str,
    random_bits: Callable[[int], int],
    counters: MediaCounters,
) -> tuple[Viewer, dict[str, SentTrack]]:
    """Make a viewer of a source's tracks, with random SSRCs, from its negotiated offer.

    `name` is the RTCP CNAME of the source, `counters` are those of the engine. Returns the viewer, and what its answer
    says of each stream, by the media section's mid.
    """
    by_ssrc: dict[int, ViewerTrack] = {}
    sent: dict[str, SentTrack] = {}
    for section in plan.tracks:
        down_track = DownTrack(ssrc=random_bits(32), payload_type=section.payload_type, counters=counters)
        rtx_ssrc = None if section.rtx_payload_type is None else random_bits(32)
        by_ssrc[down_track.ssrc] = ViewerTrack(
            track=tracks[section.kind],
            down_track=down_track,
            rtx_payload_type=section.rtx_payload_type,
            rtx_ssrc=rtx_ssrc,
            rtx_sequence=random_bits(15),
        )
        sent[section.mid] = SentTrack(ssrc=down_track.ssrc, rtx_ssrc=rtx_ssrc)
    return Viewer(tracks=by_ssrc, cname=name.encode(), counters=counters), sent
