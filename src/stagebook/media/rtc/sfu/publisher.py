"""A publisher's end of one connection: RTP packets to their tracks, and RTCP feedback to the publisher.

The publisher is sent four kinds of feedback:

* receiver reports once a second (RFC 3550 section 6.4.2);
* NACKs for missing packets (RFC 4585 section 6.2.1);
* PLI or FIR when a viewer needs a keyframe (RFC 4585 section 6.3.1, RFC 5104 section 4.3.1);
* REMB, the maximum bitrate that the publisher may send (draft-alvestrand-rmcat-remb).
"""

from typing import Protocol

import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.rtp.bandwidth_estimate import BandwidthEstimate
from stagebook.media.rtc.rtp.rtcp import SenderReport, make_parse_budget, parse_rtcp
from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget
from stagebook.media.rtc.rtp.rtcp_writer import write_fir, write_nack, write_pli, write_receiver_report, write_remb
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, parse_rtp
from stagebook.media.rtc.sdp.media_plan import PublisherPlan
from stagebook.media.rtc.sfu.engine_statistics import MediaCounters
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer
from stagebook.media.rtc.transport.peer_connection import PeerConnection

REPORT_INTERVAL_SECONDS = 1.0
CODEC_SILENCE_SECONDS = 2.0
"""A publisher changes its video codec only after so long without a packet of the current one. A change ends the
connections of its viewers, so it must not happen for single packets."""
SENDER_REPORTS_PER_SECOND = 4
MAX_SENDER_REPORTS_AT_ONCE = 8
"""Limits of the sender reports of a publisher that are used: rate and burst. Each is sent on to all viewers, so without
a limit a publisher could multiply its RTCP by their number. Clients send one for each track every few seconds."""


class PublisherListener(Protocol):
    """The source that a publisher belongs to."""

    def receive_sender_report(
        self, publisher: "Publisher", incoming: IncomingTrack, layer: Layer, report: SenderReport, now: float
    ) -> None:
        """The publisher sent a sender report for a layer of a track that is forwarded.

        Called within the rate limit of sender reports, for a publisher that does not feed the source as well.
        """

    def codec_changed(self, publisher: "Publisher", now: float) -> None:
        """The publisher sends another codec than the one of its plan so far. `publisher.plan` has the new one."""

    def release(self, publisher: "Publisher") -> None:
        """The publisher's connection is closed."""


class Publisher:
    """The media endpoint of a publisher's connection."""

    def __init__(
        self,
        plan: PublisherPlan,
        *,
        ssrc: int,
        cname: bytes,
        ceiling_bps: int,
        listener: PublisherListener,
        counters: MediaCounters,
    ) -> None:
        """`ssrc` and `cname` identify the server as the sender of the RTCP. `ceiling_bps` is the highest REMB value.
        `counters` are those of the engine."""
        self.plan = plan
        self.tracks = [IncomingTrack(track, send_keyframe_request=self._send_keyframe_request) for track in plan.tracks]
        self._index_tracks()
        self._ssrc = ssrc
        self._cname = cname
        self._reduced_size = all(track.rtcp_reduced_size for track in plan.tracks)
        self._estimate = BandwidthEstimate(ceiling_bps=ceiling_bps)
        self._listener = listener
        self._counters = counters
        self._peer: PeerConnection | None = None
        self._fir_sequence = 0
        self._remb_sent = False
        self._reported_at = 0.0
        self._rtcp = make_parse_budget()
        self._sender_reports = RtcpBudget(per_second=SENDER_REPORTS_PER_SECOND, burst=MAX_SENDER_REPORTS_AT_ONCE)

    def _index_tracks(self) -> None:
        self._by_payload_type = {track.plan.payload_type: track for track in self.tracks}
        self._by_rtx_type = {
            track.plan.rtx_payload_type: track for track in self.tracks if track.plan.rtx_payload_type is not None
        }
        self._alternatives = {plan.payload_type: plan for track in self.tracks for plan in track.plan.alternatives}
        """The plans of the video codecs that the answer accepts and the publisher does not send, by payload type."""

    @property
    def connection_id(self) -> str | None:
        """The connection's id; None until it is connected."""
        return None if self._peer is None else self._peer.connection_id

    def track_of(self, kind: MediaKind) -> IncomingTrack | None:
        """The publisher's track of a kind; None if its offer had no such section that was accepted."""
        return next((track for track in self.tracks if track.plan.kind is kind), None)

    # MediaEndpoint

    def connected(self, peer: PeerConnection, now: float) -> None:
        """The transport is up: feedback can be sent from now on, the first report after a second."""
        self._peer = peer
        self._reported_at = now

    def path_changed(self) -> None:
        """Nothing here depends on the network path."""

    def closed(self) -> None:
        """The connection is closed."""
        self._count_losses()
        self._listener.release(self)

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Pass a packet to its track by its payload type, and send a NACK if it reveals a gap.

        A malformed packet, or one with a payload type that was not negotiated, is dropped.
        """
        parsed = parse_rtp(packet)
        if parsed is None:
            return
        track = self._by_payload_type.get(parsed.payload_type) or self._take_alternative(parsed, now)
        if track is None:
            rtx_track = self._by_rtx_type.get(parsed.payload_type)
            if rtx_track is not None:
                rtx_track.receive_rtx(parsed, now)
            return
        layer = track.receive(parsed, now)
        if layer is not None and now >= layer.receiver.next_nack_at:
            self._send_nacks(track, layer, now)
        if not self._remb_sent:
            # With the first packet: Chromium uses the first estimate as its starting bitrate.
            self._remb_sent = self._send_remb()

    def _take_alternative(self, packet: RtpPacket, now: float) -> IncomingTrack | None:
        """Expect another video codec from now on if this packet has one and none of the current codec are arriving.

        Returns the track with the new codec; None if the packet does not belong to one.

        Usually this is the first video packet, and the publisher never sends the codec that the answer prefers. A
        browser whose encoder fails also goes on with the next codec of the answer.
        """
        alternative, video = self._alternatives.get(packet.payload_type), self.track_of(MediaKind.VIDEO)
        # A packet without payload only probes the bandwidth.
        if alternative is None or video is None or not packet.payload:
            return None
        if any(now - layer.last_packet_at < CODEC_SILENCE_SECONDS for layer in video.layers.values()):
            return None
        plan = video.plan.with_codec(alternative)
        self.plan = msgspec.structs.replace(self.plan, video=plan)
        # A new track, because what the current one has measured and learned belongs to the other codec.
        incoming = IncomingTrack(plan, send_keyframe_request=self._send_keyframe_request)
        self.tracks = [incoming if track is video else track for track in self.tracks]
        self._index_tracks()
        self._listener.codec_changed(self, now)
        return incoming

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Handle the sender reports of a compound (RFC 3550 section 6.1), within the budgets of packets and of reports.

        Other RTCP messages of a publisher are ignored, since it receives no media.
        """
        self._rtcp.renew(now)
        self._sender_reports.renew(now)
        for message in parse_rtcp(compound, self._rtcp):
            if not isinstance(message, SenderReport):
                continue
            for track in self.tracks:
                layer = track.layers.get(message.ssrc)
                if layer is not None:
                    layer.receiver.receive_sender_report(message.ntp, now)
                    if track.is_followed(layer) and self._sender_reports.take():
                        self._listener.receive_sender_report(self, track, layer, message, now)

    def handle_timers(self, now: float) -> None:
        """Repeat NACKs, send a report if one is due, and choose the layers. Called a few times a second.

        A packet that was requested in vain damages the video until the next keyframe, so one is requested then.
        """
        for track in self.tracks:
            for layer in track.layers.values():
                self._send_nacks(track, layer, now)
                if layer.receiver.given_up:
                    # A packet is lost for good: the video stays damaged until the next keyframe.
                    layer.receiver.given_up = False
                    if track.is_followed(layer) and track.plan.kind is MediaKind.VIDEO:
                        track.request_keyframe(layer, now)
        if now - self._reported_at >= REPORT_INTERVAL_SECONDS:
            self._send_report(now)
        for track in self.tracks:
            track.select_layers(now)

    # RTCP to the publisher

    def _send_report(self, now: float) -> None:
        """Send a receiver report for all layers, update the bandwidth estimate from it, and send the estimate."""
        seconds, self._reported_at = now - self._reported_at, now
        self._count_losses()
        layers = [layer for track in self.tracks for layer in track.layers.values()]
        blocks = [block for layer in layers if (block := layer.receiver.report(now)) is not None]
        if self._peer is None or not blocks:
            return
        self._estimate.update(
            arrived_bps=sum(layer.take_rate(seconds) for layer in layers),
            lost_fraction=max(block.fraction_lost for block in blocks) / 256,
            queue_seconds=max(layer.queue.take() for layer in layers),
        )
        self._peer.send_rtcp(write_receiver_report(ssrc=self._ssrc, blocks=blocks, cname=self._cname))
        self._send_remb()

    def _count_losses(self) -> None:
        """Add the losses since the last call to the counters of the engine.

        A layer that is removed has been silent for several seconds, so its losses have been added before.
        """
        for track in self.tracks:
            for layer in track.layers.values():
                missing, recovered = layer.receiver.take_losses()
                self._counters.missing_packets += missing
                self._counters.recovered_packets += recovered

    def _send_remb(self) -> bool:
        """Send the estimate for all SSRCs of tracks that negotiated REMB. False if there are none yet."""
        ssrcs = [ssrc for track in self.tracks if "goog-remb" in track.plan.feedback for ssrc in track.layers]
        if not ssrcs:
            return False
        self._send_feedback(
            write_remb(sender_ssrc=self._ssrc, bitrate_bps=self._estimate.bitrate_bps, media_ssrcs=ssrcs)
        )
        return True

    def _send_feedback(self, feedback: bytes) -> None:
        """Send a feedback message: alone if reduced-size RTCP was negotiated (RFC 5506), else after an empty receiver
        report, because a compound packet has to begin with a report (RFC 3550 section 6.1)."""
        if self._peer is None:
            return
        if not self._reduced_size:
            feedback = write_receiver_report(ssrc=self._ssrc, blocks=(), cname=self._cname) + feedback
        self._peer.send_rtcp(feedback)

    def _send_nacks(self, track: IncomingTrack, layer: Layer, now: float) -> None:
        due = layer.receiver.due_nacks(now)
        if due and "nack" in track.plan.feedback:
            self._counters.requested_packets += len(due)
            self._send_feedback(write_nack(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc, sequences=due))

    def _send_keyframe_request(self, track: IncomingTrack, layer: Layer) -> None:
        """Send a PLI, or a FIR if only that was negotiated. A sender that negotiated neither may still support PLI,
        which is the more common of the two."""
        self._counters.requested_keyframes += 1
        if "nack pli" in track.plan.feedback or "ccm fir" not in track.plan.feedback:
            self._send_feedback(write_pli(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc))
            return
        self._fir_sequence += 1
        self._send_feedback(write_fir(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc, command=self._fir_sequence))
