"""A publisher's end of one connection: RTP packets to their tracks, and RTCP feedback to the publisher.

`publisher_feedback` writes the feedback. It is sent

* once a second: receiver reports and REMB, the maximum bitrate (RFC 3550 section 6.4.2, draft-alvestrand-rmcat-remb);
* with the first packet that arrives when it is due: NACKs for missing packets (RFC 4585 section 6.2.1), and the arrival
  times of all packets (draft-holmer-rmcat-transport-wide-cc-extensions-01). A timer sends what is left when no packet
  arrives;
* when a viewer needs a keyframe: PLI or FIR (RFC 4585 section 6.3.1, RFC 5104 section 4.3.1).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.rtp.path_timing import PathTiming
from stagebook.media.rtc.rtp.rtcp import SenderReport, make_parse_budget, parse_rtcp
from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, extension_value, parse_rtp
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, TrackPlan
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.publisher_feedback import FeedbackConnection, PublisherFeedback
from stagebook.media.rtc.sfu.relay.source_relay import SourceRelay
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters
from stagebook.media.rtc.transport.peer_connection import LOST_MEDIA_SECONDS

REPORT_INTERVAL_SECONDS = 1.0
CODEC_SILENCE_SECONDS = 2.0
"""A publisher changes its video codec only after so long without a packet of the current one. A change ends the
connections of its viewers, so it must not happen for single packets."""
SENDER_REPORTS_PER_SECOND = 4
MAX_SENDER_REPORTS_AT_ONCE = 8
"""Limits of the sender reports of a publisher that are used: rate and burst. Each is sent on to all viewers, so without
a limit a publisher could multiply its RTCP by their number. Clients send one for each track every few seconds."""


_NUMBER_SIZE_BYTES = 2
"""The transport-wide number (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2)."""


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
        self.timing = PathTiming()
        """Of the path from the publisher."""
        self._feedback = PublisherFeedback(
            ssrc=ssrc,
            cname=cname,
            ceiling_bps=ceiling_bps,
            reduced_size=all(track.rtcp_reduced_size for track in plan.tracks),
            counters=counters,
        )
        self.tracks = [self._incoming_track(track) for track in plan.tracks]
        self._index_tracks()
        self._listener = listener
        self._counters = counters
        self.relays: Sequence[SourceRelay] = ()
        """The relays of the source that the publisher feeds."""
        self._nack_at = float("inf")
        """The earliest time at which a layer has packets to request."""
        self._reported_at = 0.0
        self._rtcp = make_parse_budget()
        self._sender_reports = RtcpBudget(per_second=SENDER_REPORTS_PER_SECOND, burst=MAX_SENDER_REPORTS_AT_ONCE)

    def _incoming_track(self, plan: TrackPlan) -> IncomingTrack:
        return IncomingTrack(plan, send_keyframe_request=self._feedback.request_keyframe, timing=self.timing)

    def _index_tracks(self) -> None:
        self._by_payload_type = {
            payload_type: track
            for track in self.tracks
            for payload_type in (track.plan.payload_type, track.plan.red_payload_type)
            if payload_type is not None
        }
        self._by_rtx_type = {
            track.plan.rtx_payload_type: track for track in self.tracks if track.plan.rtx_payload_type is not None
        }
        self._number_ids = {
            payload_type: track.plan.extensions.transport_sequence
            for track in self.tracks
            if track.plan.extensions.transport_sequence is not None
            for payload_type in track.plan.payload_types
        }
        """The id of the header extension with the transport-wide number, by payload type."""
        self._alternatives = {plan.payload_type: plan for track in self.tracks for plan in track.plan.alternatives}
        """The plans of the video codecs that the answer accepts and the publisher does not send, by payload type."""

    @property
    def connection_id(self) -> str | None:
        """The connection's id; None until it is connected."""
        return None if self._feedback.peer is None else self._feedback.peer.connection_id

    @property
    def feedback(self) -> PublisherFeedback:
        """What the publisher is sent, for its statistics."""
        return self._feedback

    def track_of(self, kind: MediaKind) -> IncomingTrack | None:
        """The publisher's track of a kind; None if its offer had no such section that was accepted."""
        return next((track for track in self.tracks if track.plan.kind is kind), None)

    @property
    def rids(self) -> Mapping[int, str]:
        """The RIDs of its video that it has sent so far, by SSRC."""
        video = self.track_of(MediaKind.VIDEO)
        return {} if video is None else video.rids

    @property
    def sender_reports(self) -> Sequence[SenderReport]:
        """The newest sender report of each layer that has sent one."""
        layers = [layer for track in self.tracks for layer in track.layers.values()]
        return [layer.sender_report for layer in layers if layer.sender_report is not None]

    def learn_rids(self, rids: Mapping[int, str]) -> None:
        """Know RIDs that the publisher has sent to its own engine before."""
        video = self.track_of(MediaKind.VIDEO)
        if video is not None:
            video.rids.update(rids)

    # MediaEndpoint

    def connected(self, peer: FeedbackConnection, now: float) -> None:
        """The transport is up: feedback can be sent from now on, the first report after a second."""
        self._feedback.peer = peer
        self._reported_at = now

    def path_changed(self, *, quiet_seconds: float, now: float) -> None:
        """Request a keyframe of the layers that are forwarded, if too much was lost on the former path."""
        video = self.track_of(MediaKind.VIDEO)
        if video is not None and quiet_seconds >= LOST_MEDIA_SECONDS:
            video.change_path(now)

    def closed(self) -> None:
        """The connection is closed."""
        self._count_losses()
        self._listener.release(self)

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Pass a packet to its track by its payload type, and send the feedback that is due.

        A malformed packet, or one with a payload type that was not negotiated, is dropped.
        """
        for relay in self.relays:
            relay.relay_packet(packet)
        parsed = parse_rtp(packet)
        if parsed is None:
            return
        number_id = self._number_ids.get(parsed.payload_type)
        if number_id is not None and parsed.extension:
            number = extension_value(parsed.extension, number_id)
            if number is not None and len(number) == _NUMBER_SIZE_BYTES:
                self._feedback.record_arrival(number[0] << 8 | number[1], now)
        self._receive_media(parsed, now)
        if now >= self._nack_at:
            self._send_nacks(now)
        if now >= self._feedback.due_at:
            self._send_arrivals(now)
        if not self._feedback.has_begun:
            self._feedback.begin(self.tracks, now)

    def _receive_media(self, parsed: RtpPacket, now: float) -> None:
        track = self._by_payload_type.get(parsed.payload_type) or self._take_alternative(parsed, now)
        if track is not None:
            layer = track.receive(parsed, now)
            if layer is not None and layer.receiver.missing.next_request_at < self._nack_at:
                self._nack_at = layer.receiver.missing.next_request_at
            return
        repaired = self._by_rtx_type.get(parsed.payload_type)
        if repaired is not None:
            repaired.receive_rtx(parsed, now)

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
        incoming = self._incoming_track(plan)
        incoming.rids.update(video.rids)
        self.tracks = [incoming if track is video else track for track in self.tracks]
        self._index_tracks()
        self._listener.codec_changed(self, now)
        return incoming

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Handle the sender reports of a compound (RFC 3550 section 6.1), within the budgets of packets and of reports.

        Other RTCP messages of a publisher are ignored, since it receives no media.
        """
        for relay in self.relays:
            relay.relay_report(compound)
        self._rtcp.renew(now)
        self._sender_reports.renew(now)
        for message in parse_rtcp(compound, self._rtcp):
            if not isinstance(message, SenderReport):
                continue
            for track in self.tracks:
                layer = track.layers.get(message.ssrc)
                if layer is not None:
                    layer.receiver.receive_sender_report(message.ntp, now)
                    layer.sender_report = message
                    if track.is_followed(layer) and self._sender_reports.take():
                        self._listener.receive_sender_report(self, track, layer, message, now)

    def limit_to(self, bitrate_bps: int | None) -> None:
        """Let the publisher send at most so many bits per second, because its viewers can take no more; None: what its
        own limit allows. It is told by REMB."""
        self._feedback.limit_to(bitrate_bps, self.tracks)

    def handle_timers(self, now: float) -> None:
        """Repeat NACKs, send a report if one is due, and choose the layers. Called a few times a second.

        A packet that was requested in vain damages the video until the next keyframe, so one is requested then.
        """
        self._send_nacks(now)
        if now >= self._feedback.due_at:
            self._send_arrivals(now)
        for track in self.tracks:
            for layer in track.layers.values():
                if layer.receiver.missing.given_up:
                    # A packet is lost for good: the video stays damaged until the next keyframe.
                    layer.receiver.missing.given_up = False
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
        if not blocks:
            return
        self._feedback.send_report(blocks)
        self._feedback.limit(
            self.tracks,
            arrived_bps=sum(layer.take_rate(seconds) for layer in layers),
            queue_seconds=max(layer.queue.take() for layer in layers),
            now=now,
        )

    def _count_losses(self) -> None:
        """Add the losses since the last call to the counters of the engine.

        A layer that is removed has been silent for several seconds, so its losses have been added before.
        """
        for track in self.tracks:
            for layer in track.layers.values():
                missing, recovered = layer.receiver.take_losses()
                self._counters.missing_packets += missing
                self._counters.recovered_packets += recovered

    def _send_nacks(self, now: float) -> None:
        """Request the packets of all layers that are due."""
        self._nack_at = float("inf")
        for track in self.tracks:
            for layer in track.layers.values():
                missing = layer.receiver.missing
                due = layer.receiver.due_nacks(now) if now >= missing.next_request_at else ()
                if due and "nack" in track.plan.feedback:
                    self._feedback.request_packets(layer, due)
                self._nack_at = min(self._nack_at, missing.next_request_at)

    def _send_arrivals(self, now: float) -> None:
        ssrc = next((ssrc for track in self.tracks for ssrc in track.layers), None)
        if ssrc is not None:
            self._feedback.send_arrivals(ssrc, now)
