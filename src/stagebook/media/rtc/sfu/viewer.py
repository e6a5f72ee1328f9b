"""A viewer's end of one connection: its streams on a source's tracks, its RTCP feedback, and the reports it is sent.

A viewer sends NACKs and keyframe requests. NACKs are answered from the track's history (as RTX, RFC 4588, if that was
negotiated; `repair.viewer_repair`); keyframe requests go to the track. Transport-wide feedback, REMB and receiver
reports make the estimate of what the viewer's line carries (`congestion.viewer_bandwidth`).
"""

from collections.abc import Callable, Collection, Mapping

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.congestion.viewer_bandwidth import ViewerBandwidth
from stagebook.media.rtc.ice.udp_socket import Path
from stagebook.media.rtc.rtp.rtcp import (
    EstimatedMaximum,
    KeyframeRequest,
    Nack,
    ReceiverReport,
    TransportFeedback,
    make_parse_budget,
    parse_rtcp,
)
from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget
from stagebook.media.rtc.rtp.rtcp_writer import write_sender_report
from stagebook.media.rtc.sdp.media_plan import ViewerPlan
from stagebook.media.rtc.sdp.sdp_answer import SentTrack
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.repair.viewer_repair import ViewerRepair
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack
from stagebook.media.rtc.transport.peer_connection import LOST_MEDIA_SECONDS, PeerConnection

KEYFRAME_REQUESTS_PER_SECOND = 0.5
MAX_KEYFRAME_REQUESTS_AT_ONCE = 6
"""Limits of the keyframe requests of one viewer: rate and burst. A keyframe costs the publisher, and so all viewers,
the bits of many frames."""
KEYFRAME_REQUEST_INTERVAL_SECONDS = 0.3
"""Requests of a viewer that follow each other faster count as one: clients repeat one until the keyframe comes."""

CONGESTED_KEYFRAME_SECONDS = 2.0
MAX_CONGESTED_KEYFRAME_SECONDS = 16.0
"""The wait after a keyframe request of a viewer whose estimate has just fallen. It doubles with each further one."""
MAX_NOTED_REPORTS = 8
"""Sender reports whose time is known, for the round trip: a viewer answers the last one of each stream."""


class Viewer:
    """The media endpoint of a viewer's connection."""

    def __init__(
        self,
        *,
        tracks: Mapping[int, ViewerTrack],
        cname: bytes,
        counters: MediaCounters,
        bandwidth: ViewerBandwidth | None = None,
        schedule: SendSchedule | None = None,
    ) -> None:
        """`tracks` by the SSRC of their down track. `cname` is the RTCP CNAME of the source. `counters` are those of
        the engine. `schedule` has its timers and its clock; without it nothing is probed or measured in time."""
        self._tracks = tracks
        streams = {each.track.kind: each for each in tracks.values()}
        self.video = streams.get(MediaKind.VIDEO)
        """The stream of video; None for a viewer of audio alone."""
        self.audio = streams.get(MediaKind.AUDIO)
        """The stream of audio; None for a viewer of video alone."""
        self._counters = counters
        self._cname = cname
        self._peer: PeerConnection | None = None
        self._rtcp = make_parse_budget()
        self._keyframe_requests = RtcpBudget(
            per_second=KEYFRAME_REQUESTS_PER_SECOND, burst=MAX_KEYFRAME_REQUESTS_AT_ONCE
        )
        self._keyframe_requested_at = float("-inf")
        self._congested_wait_seconds = 0.0
        self.keyframe_requests = 0
        """Keyframes that the viewer asked for."""
        self.bandwidth = bandwidth or ViewerBandwidth()
        """How much can be sent to the viewer."""
        self.repair = ViewerRepair(
            tracks.values(),
            bandwidth=self.bandwidth,
            counters=counters,
            call_later=None if schedule is None else schedule.call_later,
        )
        self._path: Path | None = None
        """The last path over which it was sent to."""
        self._clock = None if schedule is None else schedule.clock
        self._reports_sent_at: dict[int, float] = {}
        """When the last sender reports were sent, by the middle 32 bits of their NTP times."""

    @property
    def streams(self) -> Collection[ViewerTrack]:
        """The streams of audio and video."""
        return self._tracks.values()

    @property
    def sent_octets(self) -> int:
        """All bytes of media that were sent, retransmissions included."""
        return self.repair.resent_octets + sum(each.sent_bytes() for each in self._tracks.values())

    @property
    def audio_copies(self) -> int:
        """How often each frame of audio is sent."""
        return 1 if self.audio is None else self.audio.copies

    # MediaEndpoint

    def connected(self, peer: PeerConnection, now: float) -> None:
        """The transport is up: give the down tracks their SRTP session and path, and start them."""
        self._peer = peer
        self.repair.start(peer)
        self._follow_path()
        for viewer_track in self._tracks.values():
            viewer_track.down_track.srtp = peer.outbound_srtp
            viewer_track.start(now)

    def path_changed(self, *, quiet_seconds: float, now: float) -> None:
        """Send to the peer's new address, from the socket that it reached. Without consent, send nothing."""
        if self._follow_path():
            self.bandwidth.change_path()
            self._congested_wait_seconds = 0.0
            if quiet_seconds >= LOST_MEDIA_SECONDS and self.video is not None and self._may_request_keyframe(now):
                self.video.handle_keyframe_request(now)

    def _follow_path(self) -> bool:
        """Send to where the peer is. True if that is another path than the one before."""
        path = None if self._peer is None else self._peer.ice.path
        for viewer_track in self._tracks.values():
            viewer_track.down_track.set_path(path)
        if path is None:
            return False
        before, self._path = self._path, path
        return before not in (None, path)

    def closed(self) -> None:
        """The connection is closed: stop the down tracks, which hold libsrtp's handle, before it is freed."""
        self.repair.stop()
        for viewer_track in self._tracks.values():
            viewer_track.close()

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Drop the packet: viewers send no media."""

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Answer NACKs (RFC 4585 section 6.2.1), pass keyframe requests to the track, and follow what is reported.

        Each packet and item of a compound, each lookup of a NACK and each keyframe request takes a unit of a budget.
        What is above a budget is dropped: the viewer repeats what it still needs.
        """
        for budget in (self._rtcp, self._keyframe_requests):
            budget.renew(now)
        nacks: list[tuple[ViewerTrack, Nack]] = []
        for message in parse_rtcp(compound, self._rtcp):
            if isinstance(message, TransportFeedback):
                self.bandwidth.receive_feedback(message.body, now)
            elif isinstance(message, Nack):
                viewer_track = self._tracks.get(message.media_ssrc)
                if viewer_track is not None:
                    nacks.append((viewer_track, message))
            elif isinstance(message, KeyframeRequest):
                self._request_keyframes(message, now)
            elif isinstance(message, ReceiverReport):
                self._receive_report(message, now)
            elif isinstance(message, EstimatedMaximum):
                self.bandwidth.receive_maximum(message.bitrate_bps, now)
        if nacks:
            self.repair.answer(nacks, now)

    def handle_timers(self, now: float) -> None:
        """Follow a viewer that has become silent, and the loss. Called every `engine_timer.TICK_SECONDS`."""
        self.bandwidth.handle_timers(now)
        loss = self.bandwidth.loss
        for viewer_track in self._tracks.values():
            viewer_track.follow_loss(loss, now)

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
                    rtp_timestamp=(rtp_timestamp + track.shift(down_track).timestamp) & 0xFFFFFFFF,
                    packets=down_track.packets,
                    octets=track.sent_octets(down_track),
                    cname=self._cname,
                )
                self._peer.send_rtcp(report)
                self._note_report(ntp)

    def _note_report(self, ntp: int) -> None:
        if self._clock is not None:
            self._reports_sent_at[ntp >> 16 & 0xFFFFFFFF] = self._clock()
            if len(self._reports_sent_at) > MAX_NOTED_REPORTS:
                del self._reports_sent_at[next(iter(self._reports_sent_at))]

    def _request_keyframes(self, request: KeyframeRequest, now: float) -> None:
        for ssrc in request.media_ssrcs:
            if ssrc in self._tracks and self._may_request_keyframe(now):
                self.keyframe_requests += 1
                self._counters.keyframe_requests += 1
                self._tracks[ssrc].handle_keyframe_request(now)

    def _receive_report(self, report: ReceiverReport, now: float) -> None:
        received = lost = 0
        for block in report.blocks:
            viewer_track = self._tracks.get(block.ssrc)
            if viewer_track is not None:
                expected, newly_lost = viewer_track.take_report(block.highest_sequence, block.packets_lost)
                received, lost = received + expected - newly_lost, lost + newly_lost
                viewer_track.jitter_seconds = block.jitter / viewer_track.track.clock_rate
                sent_at = self._reports_sent_at.get(block.last_sender_report)
                if sent_at is not None:
                    self.bandwidth.receive_round_trip(max(0.0, now - sent_at - block.delay / 65536))
        self._counters.lost_packets += lost
        if received or lost:
            octets = sum(each.sent_bytes() for each in self._tracks.values())
            self.bandwidth.receive_losses(max(0, received), lost, octets, now)

    def _may_request_keyframe(self, now: float) -> bool:
        wait = max(KEYFRAME_REQUEST_INTERVAL_SECONDS, self._congested_wait_seconds)
        if now - self._keyframe_requested_at < wait or not self._keyframe_requests.take():
            return False
        self._keyframe_requested_at = now
        if self.bandwidth.is_congested(now):
            # A keyframe is many frames large: the line that is full cannot take it.
            doubled = max(CONGESTED_KEYFRAME_SECONDS, 2 * self._congested_wait_seconds)
            self._congested_wait_seconds = min(doubled, MAX_CONGESTED_KEYFRAME_SECONDS)
        else:
            self._congested_wait_seconds = 0.0
        return True


def make_viewer(
    plan: ViewerPlan,
    tracks: Mapping[MediaKind, SourceTrack],
    *,
    name: str,
    random_bits: Callable[[int], int],
    counters: MediaCounters,
    schedule: SendSchedule | None = None,
) -> tuple[Viewer, dict[str, SentTrack]]:
    """Make a viewer of a source's tracks, with random SSRCs, from its negotiated offer.

    `name` is the RTCP CNAME of the source, `counters` and `schedule` are those of the engine. Returns the viewer, and
    what its answer says of each stream, by the media section's mid.
    """
    is_counted = any(section.extensions.transport_sequence is not None for section in plan.tracks)
    bandwidth = ViewerBandwidth(has_transport_feedback=is_counted)
    by_ssrc: dict[int, ViewerTrack] = {}
    sent: dict[str, SentTrack] = {}
    for section in plan.tracks:
        down_track = DownTrack(ssrc=random_bits(32), payload_type=section.payload_type, counters=counters)
        if section.extensions.transport_sequence is not None and bandwidth.send_side is not None:
            down_track.transport = bandwidth.send_side.history
            down_track.transport_extension_id = section.extensions.transport_sequence
        rtx_ssrc = None if section.rtx_payload_type is None else random_bits(32)
        by_ssrc[down_track.ssrc] = ViewerTrack(
            track=tracks[section.kind],
            down_track=down_track,
            rtx_payload_type=section.rtx_payload_type,
            rtx_ssrc=rtx_ssrc,
            rtx_sequence=random_bits(15),
            red_payload_type=section.red_payload_type,
            cannot_repair=section.kind is MediaKind.AUDIO and "nack" not in section.feedback,
        )
        sent[section.mid] = SentTrack(ssrc=down_track.ssrc, rtx_ssrc=rtx_ssrc)
    viewer = Viewer(tracks=by_ssrc, cname=name.encode(), counters=counters, bandwidth=bandwidth, schedule=schedule)
    return viewer, sent
