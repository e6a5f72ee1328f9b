"""One stream to one viewer: the track that it comes from, and the packets that were sent.

The video may come from one track of the source after another, because a viewer can choose a simulcast layer
(`simulcast.layer_tracks`). What an earlier track sent is remembered for a while: a NACK may name it.
"""

from collections import deque
from functools import partial
from typing import Final

from stagebook.media.rtc.rtp.rtp_packet import HEADER
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.source_track import EndedRun, SentPacket, SourceTrack

MAX_ENDED_RUNS: Final = 3
"""Earlier tracks whose packets can be retransmitted. A viewer changes its layer every few seconds at most."""
RUN_HISTORY_SECONDS: Final = 5.0
"""How long after a move the packets of the earlier track can be retransmitted. A track without viewers stays in memory
for so long, with its last packets."""


class ViewerTrack:
    """One stream to one viewer: its down track, and its RTX stream for retransmissions."""

    def __init__(
        self,
        *,
        track: SourceTrack,
        down_track: DownTrack,
        rtx_ssrc: int | None,
        rtx_payload_type: int | None,
        rtx_sequence: int,
    ) -> None:
        """`rtx_ssrc` and `rtx_payload_type` are None if the viewer did not negotiate RTX."""
        self.track = track
        """The track that sends."""
        self.next_track: PublishedTrack | None = None
        """The track that will send from its next keyframe on."""
        self.down_track = down_track
        self.rtx_ssrc = rtx_ssrc
        self.rtx_payload_type = rtx_payload_type
        self._rtx_sequence = rtx_sequence
        self._is_connected = False
        self._ended_runs: deque[EndedRun] = deque(maxlen=MAX_ENDED_RUNS)
        self._moved_at = 0.0
        self._reported_lost = 0

    def start(self, now: float) -> None:
        """Start to send: the connection is up."""
        self._is_connected = True
        self.track.add(self.down_track, now)

    def close(self) -> None:
        """Stop to send: the connection is closed."""
        self._is_connected = False
        self._cancel_move()
        self.track.remove(self.down_track)

    @property
    def has_started(self) -> bool:
        """Whether the first packet has been sent."""
        return self.track.has_started(self.down_track)

    def move_to(self, track: PublishedTrack, now: float) -> None:
        """Send another track of the same source from its next keyframe on, and the current one until then."""
        if track is self.next_track:
            return
        self._cancel_move()
        if track is self.track:
            return
        if isinstance(self.track, PublishedTrack) and self.has_started:
            self.next_track = track
            track.adopt(self.down_track, origin=self.track, now=now, on_adopted=partial(self._complete_move, track))
            return
        self.track.remove(self.down_track)
        self.track = track
        if self._is_connected:
            track.add(self.down_track, now)

    def _cancel_move(self) -> None:
        if self.next_track is not None:
            self.next_track.remove(self.down_track)
            self.next_track = None

    def _complete_move(self, track: PublishedTrack, ended: EndedRun, now: float) -> None:
        self._ended_runs.append(ended)
        self._moved_at = now
        self.track, self.next_track = track, None

    def expire_runs(self, now: float) -> None:
        """Forget what earlier tracks sent, RUN_HISTORY_SECONDS after the last move. Called about once a second."""
        if self._ended_runs and now - self._moved_at > RUN_HISTORY_SECONDS:
            self._ended_runs.clear()

    def take_lost(self, reported: int) -> int:
        """Take the total of lost packets that the viewer reports; return how many are new.

        No more are lost than were sent, whatever the viewer reports. A total that falls, because of duplicates or
        after a restart of the receiver, takes nothing back.
        """
        lost = min(reported, self.down_track.packets)
        new = max(0, lost - self._reported_lost)
        self._reported_lost += new
        return new

    def resend(self, sequence: int) -> bytes | None:
        """The RTP packet that answers a NACK for `sequence`: an RTX packet, or without RTX the original packet. None if
        no track holds it."""
        packet = self._find_sent(sequence)
        if packet is None:
            return None
        if self.rtx_payload_type is None or self.rtx_ssrc is None:
            return self._header(packet, self.down_track.payload_type, sequence, self.down_track.ssrc) + packet.payload
        self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
        header = self._header(packet, self.rtx_payload_type, self._rtx_sequence, self.rtx_ssrc)
        return header + sequence.to_bytes(2, "big") + packet.payload

    def _find_sent(self, sequence: int) -> SentPacket | None:
        packet = self.track.find_sent(self.down_track, sequence)
        if packet is None and self._ended_runs:
            found = (ended.find_sent(sequence) for ended in reversed(self._ended_runs))
            packet = next((each for each in found if each is not None), None)
        return packet

    @staticmethod
    def _header(packet: SentPacket, payload_type: int, sequence: int, ssrc: int) -> bytes:
        return HEADER.pack(0x80, packet.marker << 7 | payload_type, sequence, packet.timestamp, ssrc)
