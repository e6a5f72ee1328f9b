"""A publisher's end of one connection: its packets to their tracks, and what it is told by RTCP.

It is told what arrives (receiver reports), what to send again (NACK), when to send a keyframe (PLI or FIR) and how much
to send at most (REMB). Knows nothing of viewers.
"""

from collections.abc import Callable
from typing import Protocol

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.rtp.bandwidth_estimate import BandwidthEstimate
from stagebook.media.rtc.rtp.rtcp import (
    SenderReport,
    parse_rtcp,
    write_fir,
    write_nack,
    write_pli,
    write_receiver_report,
    write_remb,
)
from stagebook.media.rtc.rtp.rtp_packet import parse_rtp
from stagebook.media.rtc.sdp.media_plan import PublisherPlan
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.simulcast_layers import Layer
from stagebook.media.rtc.transport.peer_connection import PeerConnection

REPORT_INTERVAL_SECONDS = 1.0


class ClockListener(Protocol):
    """Who is told of a publisher's clocks: its source."""

    def hear_clocks(self, publisher: "Publisher", incoming: IncomingTrack, report: SenderReport, now: float) -> None:
        """A sender report of the layer that is forwarded."""


class Publisher:
    """The media end of a publisher's connection."""

    def __init__(
        self,
        plan: PublisherPlan,
        *,
        ssrc: int,
        cname: bytes,
        ceiling_bps: int,
        clocks: ClockListener,
        on_closed: Callable[["Publisher"], None],
    ) -> None:
        """`ssrc` is ours, the sender of the RTCP."""
        self.plan = plan
        self.tracks = [IncomingTrack(track, ask_keyframe=self._ask_keyframe) for track in plan.tracks]
        self.ignored_packets = 0
        """With a payload type that was not negotiated, or malformed."""
        self._by_payload_type = {track.plan.payload_type: track for track in self.tracks}
        self._by_rtx_type = {
            track.plan.rtx_payload_type: track for track in self.tracks if track.plan.rtx_payload_type is not None
        }
        self._ssrc = ssrc
        self._cname = cname
        self._reduced_size = all(track.rtcp_reduced_size for track in plan.tracks)
        self._estimate = BandwidthEstimate(ceiling_bps=ceiling_bps)
        self._clocks = clocks
        self._on_closed = on_closed
        self._peer: PeerConnection | None = None
        self._fir_command = 0
        self._rated = False
        self._reported_at = 0.0

    @property
    def connection_id(self) -> str | None:
        """The connection's id once it is connected."""
        return None if self._peer is None else self._peer.connection_id

    def track_of(self, kind: MediaKind) -> IncomingTrack | None:
        """The publisher's track of a kind."""
        return next((track for track in self.tracks if track.plan.kind is kind), None)

    # MediaEndpoint

    def connected(self, peer: PeerConnection, now: float) -> None:
        """The transport is up."""
        self._peer = peer
        self._reported_at = now

    def path_changed(self) -> None:
        """Nothing of ours depends on the path."""

    def closed(self) -> None:
        """The connection is over."""
        self._on_closed(self)

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Bring a packet to its track by its payload type, and ask for what a gap says is lost."""
        parsed = parse_rtp(packet)
        if parsed is None:
            self.ignored_packets += 1
            return
        track = self._by_payload_type.get(parsed.payload_type)
        if track is not None:
            layer = track.receive(parsed, now)
            if layer is not None and now >= layer.receiver.next_nack_at:
                self._send_nacks(track, layer, now)
            if not self._rated:
                # At once: Chromium takes the first estimate as its starting rate.
                self._rated = self._send_remb()
            return
        track = self._by_rtx_type.get(parsed.payload_type)
        if track is not None:
            track.receive_rtx(parsed, now)
        else:
            self.ignored_packets += 1

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Take the sender reports; nothing else that a publisher says matters here."""
        for message in parse_rtcp(compound):
            if not isinstance(message, SenderReport):
                continue
            for track in self.tracks:
                layer = track.layers.get(message.ssrc)
                if layer is not None:
                    layer.receiver.receive_sender_report(message.ntp, now)
                    if layer is track.current:
                        self._clocks.hear_clocks(self, track, message, now)

    def tick(self, now: float) -> None:
        """Ask again for what is still missing, look at the layers, and report once a second."""
        for track in self.tracks:
            for layer in track.layers.values():
                self._send_nacks(track, layer, now)
                if layer.receiver.given_up:
                    layer.receiver.given_up = False
                    if layer is track.current and track.plan.kind is MediaKind.VIDEO:
                        track.request_keyframe(now)
        if now - self._reported_at >= REPORT_INTERVAL_SECONDS:
            self._report(now)
        for track in self.tracks:
            track.choose(now)

    # RTCP to the publisher

    def _report(self, now: float) -> None:
        seconds, self._reported_at = now - self._reported_at, now
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

    def _send_remb(self) -> bool:
        """Tell the rate, if a track negotiated it. True if there was a stream to tell it of."""
        ssrcs = [ssrc for track in self.tracks if "goog-remb" in track.plan.feedback for ssrc in track.layers]
        if not ssrcs:
            return False
        self._send_feedback(
            write_remb(sender_ssrc=self._ssrc, bitrate_bps=self._estimate.bitrate_bps, media_ssrcs=ssrcs)
        )
        return True

    def _send_feedback(self, feedback: bytes) -> None:
        """Send feedback alone where that was negotiated (RFC 5506), else behind an empty report."""
        if self._peer is None:
            return
        if not self._reduced_size:
            feedback = write_receiver_report(ssrc=self._ssrc, blocks=(), cname=self._cname) + feedback
        self._peer.send_rtcp(feedback)

    def _send_nacks(self, track: IncomingTrack, layer: Layer, now: float) -> None:
        due = layer.receiver.due_nacks(now)
        if due and "nack" in track.plan.feedback:
            self._send_feedback(write_nack(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc, sequences=due))

    def _ask_keyframe(self, track: IncomingTrack, layer: Layer) -> None:
        if "nack pli" in track.plan.feedback or "ccm fir" not in track.plan.feedback:
            # A sender that negotiated neither may still understand the commoner one.
            self._send_feedback(write_pli(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc))
            return
        self._fir_command += 1
        self._send_feedback(write_fir(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc, command=self._fir_command))
