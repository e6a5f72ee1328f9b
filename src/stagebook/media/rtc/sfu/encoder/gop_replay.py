"""The replay of a cached GOP to one viewer, from its keyframe to the current frame.

The frames are sent faster than real time and in decoding order. Their timestamps are squeezed together just before the
current frame's timestamp, one clock tick apart: the receiver takes them for frames of the present moment, decodes them
at once, and adds no playout delay. With a 90 kHz clock, a GOP of 300 frames spans 3.3 ms.

The sequence numbers continue without a gap, so that the viewer sees one stream. If a new GOP begins during the replay,
the replay completes the frame it is sending and continues with the new keyframe, which is the shorter way to the
present.

A viewer whose line does not carry the video is sent keyframes alone (`still_pictures`), packet by packet.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from stagebook.media.rtc.rtp.rtp_packet import sequence_distance
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.gop_cache import Gop
from stagebook.media.rtc.sfu.sending.fan_out import fan_out
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket

MAX_KEPT_GOPS: Final = 4
"""GOPs of one replay whose packets can be retransmitted."""
NOTHING_SENT: Final = -(1 << 62)
"""The last timestamp of a viewer that has been sent nothing: lower than any."""


class ReplayState(StrEnum):
    """What a replay needs next."""

    SENDING = "sending"
    """More packets are ready to be sent."""
    WAITING = "waiting"
    """The next frame of the encoder: no GOP is cached, or the viewer's timestamps are ahead of the live ones and the
    live ones have to pass them first."""
    CAUGHT_UP = "caught_up"
    """Everything has been sent: the viewer can be sent the live packets."""


class _SentGop:
    """What a replay has sent of one GOP: its first `count` packets."""

    __slots__ = ("count", "first_sequence", "gop", "timestamps")

    def __init__(self, gop: Gop, first_sequence: int) -> None:
        self.gop = gop
        self.first_sequence = first_sequence
        self.count = 0
        self.timestamps: list[int] = []
        """The timestamp given to each frame, not wrapped."""

    @property
    def is_at_frame_boundary(self) -> bool:
        return self.count == 0 or self.gop.packets[self.count - 1].marker == 1

    def find(self, sequence: int) -> SentPacket | None:
        index = sequence_distance(sequence, self.first_sequence)
        return self.packet(index) if 0 <= index < self.count else None

    def packet(self, index: int) -> SentPacket:
        payload, marker, frame = self.gop.packets[index]
        sequence = (self.first_sequence + index) & 0xFFFF
        return SentPacket(sequence, marker, self.timestamps[frame] & 0xFFFFFFFF, payload)


class GopReplay:
    """One replay to one down track. It continues the viewer's stream where it is."""

    def __init__(
        self, down_track: DownTrack, *, next_sequence: int, last_timestamp: int, octets: int, now: float
    ) -> None:
        """`next_sequence` is the viewer's own number for the first packet. `last_timestamp` is the highest timestamp
        that the viewer was sent, not wrapped, or NOTHING_SENT. `octets` counts the payload bytes that it was sent."""
        self.down_track = down_track
        self.next_sequence = next_sequence
        self.last_timestamp = last_timestamp
        self.octets = octets
        self.started_at = now
        self.ended_at: float | None = None
        """When the viewer went live; None during the replay."""
        self.is_scheduled = False
        """Whether the pacer will call `send_next` again."""
        self.is_of_stills = False
        """Whether the viewer is sent keyframes alone, by `send_still`."""
        self.awaits_keyframe = False
        """Whether a viewer of stills goes live with the next keyframe."""
        self._sent: list[_SentGop] = []

    @property
    def has_started(self) -> bool:
        """Whether the viewer has been sent anything, here or before."""
        return bool(self._sent) or self.last_timestamp != NOTHING_SENT

    @property
    def is_at_frame_boundary(self) -> bool:
        """Whether the last frame has been sent completely, so that another GOP may follow."""
        return not self._sent or self._sent[-1].is_at_frame_boundary

    def send_next(self, gop: Gop | None, *, newest_timestamp: int, max_packets: int, now: float) -> ReplayState:
        """Send up to `max_packets` packets of `gop`, the currently cached one, as one batch.

        `newest_timestamp` is the outgoing timestamp of its last frame, not wrapped.
        """
        batch: list[SentPacket] = []
        state = self._take_next(gop, newest_timestamp, max_packets, batch)
        fan_out([self.down_track], batch, now=now)
        return state

    def _take_next(
        self, gop: Gop | None, newest_timestamp: int, max_packets: int, batch: list[SentPacket]
    ) -> ReplayState:
        """Append the next packets to `batch`."""
        for _ in range(max_packets):
            sent = self._sent[-1] if self._sent else None
            if sent is None or (sent.gop is not gop and sent.is_at_frame_boundary):
                if gop is None:
                    return ReplayState.WAITING
                sent = self._start_gop(gop)
            if sent.count == len(sent.gop.packets):
                return ReplayState.CAUGHT_UP if self.last_timestamp <= newest_timestamp else ReplayState.WAITING
            batch.append(self._next_packet(sent, newest_timestamp))
        return ReplayState.SENDING

    def send_still(self, gop: Gop, *, timestamp: int, now: float) -> int:
        """Send the next packet of a keyframe alone. Returns its size in bytes; 0 if the keyframe of this GOP has been
        sent. A keyframe that has begun is completed, also when another GOP has followed it.

        `timestamp` is the outgoing one for a keyframe that begins, not wrapped.
        """
        sent = self._sent[-1] if self._sent else None
        if sent is None or (sent.gop is not gop and sent.is_at_frame_boundary):
            sent = self._start_gop(gop)
        if sent.count and sent.is_at_frame_boundary:
            return 0
        if not sent.count:
            self.last_timestamp = max(self.last_timestamp + 1, timestamp)
            sent.timestamps.append(self.last_timestamp)
        packet = self._next_packet(sent, self.last_timestamp)
        fan_out([self.down_track], [packet], now=now)
        return len(packet.payload)

    def find_sent(self, sequence: int) -> SentPacket | None:
        """The packet that the viewer was sent as `sequence`; None if this replay did not send it or no longer holds
        it."""
        found: Iterator[SentPacket | None] = (sent.find(sequence) for sent in self._sent)
        return next((packet for packet in found if packet is not None), None)

    def _start_gop(self, gop: Gop) -> _SentGop:
        self._sent = [*self._sent[1 - MAX_KEPT_GOPS :], _SentGop(gop, self.next_sequence)]
        # Packets of a replay carry the viewer's own numbers.
        self.down_track.sequence_offset = 0
        return self._sent[-1]

    def _next_packet(self, sent: _SentGop, newest_timestamp: int) -> SentPacket:
        frame = sent.gop.packets[sent.count].frame
        if frame == len(sent.timestamps):
            frames_behind = sent.gop.frames - 1 - frame
            self.last_timestamp = max(self.last_timestamp + 1, newest_timestamp - frames_behind)
            sent.timestamps.append(self.last_timestamp)
        packet = sent.packet(sent.count)
        sent.count += 1
        self.next_sequence = (self.next_sequence + 1) & 0xFFFF
        self.octets += len(packet.payload)
        return packet
