"""Sends a viewer what it asks for again, and the padding of probes.

NACKs (RFC 4585 section 6.2.1) are answered from the histories of the tracks, those for audio first: audio is small, and
a gap in it is heard. `ResendBudget` and `RepeatTimes` limit the answers. Padding is made of packets that the viewer has
already, as RTX packets, which it drops; without enough, of RTX packets that hold padding alone (RFC 3550 section 5.1).

A packet that is sent to a viewer with transport-wide feedback is numbered and noted like those of the media. One that
is repeated without RTX is not: it must be the same as before, to the last byte.
"""

from collections.abc import Callable, Iterable
from typing import Final

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.congestion.resend_budget import ResendBudget
from stagebook.media.rtc.congestion.viewer_bandwidth import ViewerBandwidth
from stagebook.media.rtc.rtp.rtcp import Nack
from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters
from stagebook.media.rtc.sfu.viewer_track import PADDING_BYTES, ViewerTrack
from stagebook.media.rtc.transport.peer_connection import PeerConnection

RESENDS_PER_SECOND: Final = 600
MAX_RESENDS_AT_ONCE: Final = 300
"""Limits of the lookups for one viewer: rate and burst. One NACK message may list thousands of packets, so without a
limit a viewer could multiply its own traffic. A packet that the track no longer holds counts too, because looking it up
is work as well."""


class ViewerRepair:
    """The retransmissions and probes of one viewer."""

    def __init__(
        self,
        tracks: Iterable[ViewerTrack],
        *,
        bandwidth: ViewerBandwidth,
        counters: MediaCounters,
        call_later: Callable[[float, Callable[[float], None]], object] | None,
    ) -> None:
        """`call_later` calls back after some seconds, with the time. Without it nothing is probed."""
        self.nacked_packets = self.resent_packets = self.resent_octets = self.padding_packets = 0
        self.budget = ResendBudget()
        self._tracks = tuple(tracks)
        self._bandwidth = bandwidth
        self._counters = counters
        self._call_later = call_later
        self._peer: PeerConnection | None = None
        self._lookups = RtcpBudget(per_second=RESENDS_PER_SECOND, burst=MAX_RESENDS_AT_ONCE)

    def start(self, peer: PeerConnection) -> None:
        """The connection is up: send over it, and probe when more is wanted."""
        self._peer = peer
        can_probe = any(each.rtx_ssrc is not None and each.extension_id for each in self._tracks)
        if can_probe and self._call_later is not None:
            self._bandwidth.start_probe = self._send_burst

    def stop(self) -> None:
        """The connection is closed."""
        self._peer = None
        self._bandwidth.start_probe = None

    def answer(self, nacks: list[tuple[ViewerTrack, Nack]], now: float) -> None:
        """Send again what is requested, as far as the limits allow. The viewer repeats what it still needs."""
        self._lookups.renew(now)
        bandwidth = self._bandwidth
        self.budget.renew(now, estimate_bps=bandwidth.estimate_bps, sent_bps=bandwidth.sent_bps)
        for viewer_track, nack in sorted(nacks, key=lambda each: each[0].track.kind is not MediaKind.AUDIO):
            for sequence in nack.sequences():
                if self._peer is None or not self._lookups.take():
                    return
                self.nacked_packets += 1
                self._counters.nacked_packets += 1
                self._repeat(self._peer, viewer_track, sequence, now)

    def _repeat(self, peer: PeerConnection, viewer_track: ViewerTrack, sequence: int, now: float) -> None:
        if viewer_track.is_paused:
            # Its line is full. It goes on with a keyframe, and needs nothing from before it.
            return
        is_audio = viewer_track.track.kind is MediaKind.AUDIO
        if self._bandwidth.is_congested(now) and viewer_track.is_before_move(sequence, now):
            # The line is narrow, and what it carries is needed for the keyframe of the smaller layer.
            return
        size_bytes = viewer_track.sent_size(sequence)
        if size_bytes is None or not viewer_track.repeats.may_repeat(sequence, now, self._bandwidth.waiting_seconds):
            return
        if not is_audio and not self.budget.take(size_bytes):
            return
        if viewer_track.rtx_ssrc is None:
            (packet,) = viewer_track.repeat([sequence], 0)
            sent_bytes = len(packet)
            peer.send_rtp(packet)
        else:
            sent_bytes = self._send_again(viewer_track, [sequence], now)
        self.resent_packets += 1
        self.resent_octets += sent_bytes
        self._counters.resent_packets += 1
        self._counters.resent_bytes += sent_bytes

    def _send_again(self, viewer_track: ViewerTrack, sequences: list[int], now: float) -> int:
        """Send packets again, as one batch. Returns their size in bytes."""
        return self._send(len(sequences), lambda number: viewer_track.repeat(sequences, number), now)

    def _send(self, count: int, make_packets: Callable[[int], list[bytes]], now: float) -> int:
        """Send a batch of packets, which are made with the first of `count` transport-wide numbers."""
        peer, send_side = self._peer, self._bandwidth.send_side
        if peer is None:
            return 0
        number = 0 if send_side is None else send_side.history.take(count)
        packets = make_packets(number)
        for packet in packets:
            peer.send_rtp(packet)
        if send_side is not None:
            trailer_bytes = peer.outbound_srtp.trailer_size_bytes
            send_side.history.add(number, [len(packet) + trailer_bytes for packet in packets], now)
        return sum(map(len, packets))

    def _send_burst(self, now: float) -> None:
        """Send the next burst of a probe, and schedule the one after it."""
        send_side = self._bandwidth.send_side
        if send_side is None:
            return
        size_bytes, seconds = send_side.probe.next_burst()
        if size_bytes == 0 or self._peer is None or self._call_later is None:
            if send_side.probe.is_sending:
                send_side.probe.sent(send_side.history.next_number, now)
            return
        self.send_padding(size_bytes, now)
        self._call_later(seconds, self._send_burst)

    def send_padding(self, size_bytes: int, now: float) -> None:
        """Send so many bytes, or a little more, that the viewer does not need."""
        viewer_track = next((each for each in self._tracks if each.rtx_ssrc is not None and each.extension_id), None)
        if viewer_track is None:
            return
        sequences = viewer_track.newest_sequences(size_bytes)
        if sequences:
            size_bytes -= self._send_again(viewer_track, sequences, now)
            self.padding_packets += len(sequences)
        if size_bytes > 0:
            count = -(-size_bytes // PADDING_BYTES)
            self._send(count, lambda number: viewer_track.padding(count, number), now)
            self.padding_packets += count
