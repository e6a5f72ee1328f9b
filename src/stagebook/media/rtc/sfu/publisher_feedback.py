"""The RTCP that a publisher is sent: reports, NACKs, keyframe requests and what limits its bitrate.

Two mechanisms tell a publisher how much it may send:

* Transport-wide feedback, for a publisher that numbers its packets: the arrival time of each
  (`transport_arrivals`). The publisher estimates the bandwidth itself. REMB then has the bitrate limit alone, and only
  after a while: libwebrtc takes the REMB of its first two seconds as the bandwidth and would start too fast.
* REMB for all others: the engine's estimate (`bandwidth_estimate`).
"""

from collections.abc import Sequence
from typing import Protocol

from stagebook.media.rtc.rtp.bandwidth_estimate import BandwidthEstimate
from stagebook.media.rtc.rtp.rtcp import ReportBlock
from stagebook.media.rtc.rtp.rtcp_writer import write_fir, write_nack, write_pli, write_receiver_report, write_remb
from stagebook.media.rtc.rtp.transport_arrivals import FEEDBACK_INTERVAL_SECONDS, TransportArrivals
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters

LIMIT_AFTER_SECONDS = 3.0
"""When a publisher that estimates its bandwidth is told its bitrate limit."""
MAX_COMPOUND_SIZE_BYTES = 1200
"""Feedback messages are joined up to this size."""


class FeedbackConnection(Protocol):
    """Where the feedback of a publisher goes: its connection, or a relay from its own engine."""

    @property
    def connection_id(self) -> str | None:
        """The connection's id; None for a relay."""

    @property
    def waited_seconds(self) -> float:
        """How long the packet that is being received has waited for this process."""

    def send_rtcp(self, compound: bytes) -> None:
        """Send RTCP to the publisher."""


class PublisherFeedback:
    """Writes and sends the RTCP to one publisher."""

    def __init__(
        self, *, ssrc: int, cname: bytes, ceiling_bps: int, reduced_size: bool, counters: MediaCounters
    ) -> None:
        """`ssrc` and `cname` identify the server as the sender. `ceiling_bps` is the publisher's bitrate limit. With
        `reduced_size` the publisher takes feedback without a report (RFC 5506)."""
        self.peer: FeedbackConnection | None = None
        """None until the publisher is connected."""
        self.arrivals = TransportArrivals()
        self.due_at = 0.0
        """The earliest time of the next message about the arrivals."""
        self._ssrc = ssrc
        self._cname = cname
        self._ceiling_bps = ceiling_bps
        self._reduced_size = reduced_size
        self._counters = counters
        self._estimate = BandwidthEstimate(ceiling_bps=ceiling_bps)
        self._viewers_limit_bps = self._told_bps = ceiling_bps
        """What the viewers can take at most, and what was told last without regard to them."""
        self.requested_packets = self.requested_keyframes = 0
        """What the publisher has been asked for."""
        self._fir_sequence = 0
        self._first_packet_at: float | None = None
        self.has_begun = False
        """Whether `begin` needs not be called any more."""

    # Bandwidth

    @property
    def allowed_bps(self) -> int:
        """The bitrate that the publisher may send: the engine's estimate, or the limit alone for a publisher that
        estimates the bandwidth itself."""
        return self._ceiling_bps if self.arrivals.has_packets else self._estimate.bitrate_bps

    def begin(self, tracks: Sequence[IncomingTrack], now: float) -> None:
        """Send the first REMB, with the first packet of a track that has it: libwebrtc starts with its bitrate."""
        if self._first_packet_at is None:
            self._first_packet_at = now
        self.has_begun = self.arrivals.has_packets or self._send_remb(self._estimate.bitrate_bps, tracks)

    def limit(self, tracks: Sequence[IncomingTrack], *, arrived_bps: int, queue_seconds: float, now: float) -> None:
        """Send the REMB of an interval in which `arrived_bps` arrived and waited in a queue for `queue_seconds`."""
        losses = [layer.receiver.take_unrepaired() for track in tracks for layer in track.layers.values()]
        if not self.arrivals.has_packets:
            estimate = self._estimate.update(
                arrived_bps=arrived_bps,
                expected=sum(expected for expected, _ in losses),
                unrepaired=sum(unrepaired for _, unrepaired in losses),
                queue_seconds=queue_seconds,
            )
            self._send_remb(estimate, tracks)
        elif self._first_packet_at is not None and now - self._first_packet_at >= LIMIT_AFTER_SECONDS:
            self._send_remb(self._ceiling_bps, tracks)

    def limit_to(self, bitrate_bps: int | None, tracks: Sequence[IncomingTrack]) -> None:
        """Send a REMB of at most so much from now on, because the viewers can take no more; None: no limit."""
        self._viewers_limit_bps = self._ceiling_bps if bitrate_bps is None else bitrate_bps
        self._send_remb(self._told_bps, tracks)

    def _send_remb(self, bitrate_bps: int, tracks: Sequence[IncomingTrack]) -> bool:
        """Send a REMB for all SSRCs of tracks that negotiated it. False if there are none yet."""
        self._told_bps = bitrate_bps
        ssrcs = [ssrc for track in tracks if "goog-remb" in track.plan.feedback for ssrc in track.layers]
        if not ssrcs:
            return False
        limited = min(bitrate_bps, self._viewers_limit_bps)
        self._send(write_remb(sender_ssrc=self._ssrc, bitrate_bps=limited, media_ssrcs=ssrcs))
        return True

    def record_arrival(self, number: int, now: float) -> None:
        """Note when the packet with this transport-wide number reached the machine."""
        if self.peer is not None:
            self.arrivals.record(number, now - self.peer.waited_seconds)

    def send_arrivals(self, media_ssrc: int, now: float) -> None:
        """Report the arrivals since the last call. `media_ssrc` is any SSRC of the publisher: it expects one."""
        self.due_at = now + FEEDBACK_INTERVAL_SECONDS
        joined = b""
        for message in self.arrivals.take_messages(sender_ssrc=self._ssrc, media_ssrc=media_ssrc):
            if joined and len(joined) + len(message) > MAX_COMPOUND_SIZE_BYTES:
                self._send(joined)
                joined = b""
            joined += message
        if joined:
            self._send(joined)

    # Streams

    def send_report(self, blocks: Sequence[ReportBlock]) -> None:
        """Send a receiver report (RFC 3550 section 6.4.2)."""
        if self.peer is not None:
            self.peer.send_rtcp(write_receiver_report(ssrc=self._ssrc, blocks=blocks, cname=self._cname))

    def request_packets(self, layer: Layer, sequences: Sequence[int]) -> None:
        """Send a NACK for packets of a layer (RFC 4585 section 6.2.1)."""
        self.requested_packets += len(sequences)
        self._counters.requested_packets += len(sequences)
        self._send(write_nack(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc, sequences=sequences))

    def request_keyframe(self, track: IncomingTrack, layer: Layer) -> None:
        """Send a PLI, or a FIR if only that was negotiated. A sender that negotiated neither may still support PLI,
        which is the more common of the two."""
        self.requested_keyframes += 1
        self._counters.requested_keyframes += 1
        if "nack pli" in track.plan.feedback or "ccm fir" not in track.plan.feedback:
            self._send(write_pli(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc))
            return
        self._fir_sequence += 1
        self._send(write_fir(sender_ssrc=self._ssrc, media_ssrc=layer.ssrc, command=self._fir_sequence))

    def _send(self, feedback: bytes) -> None:
        """Send feedback messages: alone if reduced-size RTCP was negotiated (RFC 5506), else after an empty receiver
        report, because a compound packet has to begin with a report (RFC 3550 section 6.1)."""
        if self.peer is None:
            return
        if not self._reduced_size:
            feedback = write_receiver_report(ssrc=self._ssrc, blocks=(), cname=self._cname) + feedback
        self.peer.send_rtcp(feedback)
