"""One stream to one viewer: the track that it comes from, and the packets that were sent.

The video may come from one track of the source after another, because a viewer is sent the simulcast layer that it
chooses or that its line carries (`simulcast.layer_tracks`). What an earlier track sent is remembered for a while: a
NACK may name it. A stream may also pause: then nothing is sent, and it goes on where a viewer can start, with the
numbers that follow.
"""

import struct
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

from stagebook.media.rtc.congestion.resend_budget import RepeatTimes
from stagebook.media.rtc.rtp.rtp_packet import HEADER, HEADER_SIZE_BYTES, sequence_distance
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket
from stagebook.media.rtc.sfu.simulcast.switchable_track import StreamPosition, SwitchableTrack
from stagebook.media.rtc.sfu.source_track import REPEATED_FRAMES, EndedRun, SourceTrack

MAX_ENDED_RUNS: Final = 3
"""Earlier tracks whose packets can be retransmitted. A viewer changes its layer every few seconds at most."""
RUN_HISTORY_SECONDS: Final = 5.0
"""How long after a move the packets of the earlier track can be retransmitted. A track without viewers stays in memory
for so long, with its last packets."""


PADDING_BYTES: Final = 240
"""Of a packet of padding alone: the last byte is their number (RFC 3550 section 5.1)."""
RED_LOSS: Final = 0.01
RED_START_SECONDS: Final = 4.0
RED_SECONDS: Final = 30.0
"""Audio is sent with redundancy from this loss on, and so long after it; and at the start, when a line that is too
narrow for the video loses packets before anything is known of it."""
MAX_PADDING_PACKETS: Final = 64
"""Packets of the history that are looked at for one burst of a probe."""

_TRANSPORT_EXTENSION = struct.Struct("!HHBHx")
"""Profile, length in words, the element's header, the number, and padding."""


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
        red_payload_type: int | None = None,
        cannot_repair: bool = False,
    ) -> None:
        """The down track says whether packets have transport-wide numbers. `rtx_ssrc` and `rtx_payload_type` are None
        if the viewer did not negotiate RTX, and `red_payload_type` if it did not negotiate redundant audio.
        `cannot_repair` is for audio without NACK."""
        self.track = track
        """The track that sends."""
        self.next_track: SwitchableTrack | None = None
        """The track that will send from its next keyframe on."""
        self.down_track = down_track
        self.rtx_ssrc = rtx_ssrc
        self.rtx_payload_type = rtx_payload_type
        self._rtx_sequence = rtx_sequence
        self.repeats = RepeatTimes()
        self.red_payload_type = red_payload_type
        self.cannot_repair = cannot_repair
        """Whether lost packets of audio stay lost, unless they are sent twice."""
        self._plain_payload_type = down_track.payload_type
        self._red_until = float("-inf")
        self._is_connected = False
        self._is_paused = False
        self._end: StreamPosition | None = None
        """Where the stream stands that is paused; None if it is not, or has not begun."""
        self._ended_runs: deque[EndedRun] = deque(maxlen=MAX_ENDED_RUNS)
        self._moved_at = 0.0
        self._moved_first: int | None = None
        """The first number behind the last move to another layer, which is that of a keyframe."""
        self.lost_packets = 0
        """Packets that the viewer has reported as lost."""
        self.jitter_seconds: float | None = None
        """By its last receiver report."""
        self._reported_highest: int | None = None
        self._sent_before = 0

    @property
    def extension_id(self) -> int:
        """The id of the header extension with the transport-wide sequence number; 0 without it."""
        return self.down_track.transport_extension_id

    @property
    def copies(self) -> int:
        """How often each frame is sent: more than once with redundancy."""
        if self.down_track.red_block_type:
            return 1 + REPEATED_FRAMES
        return 2 if self.down_track.is_repeated else 1

    def follow_loss(self, loss: float, now: float) -> None:
        """Send audio with redundancy (RED) while the viewer loses packets, and some time after; or each packet twice if
        the viewer cannot repair audio. `loss` is 0 to 1."""
        if loss > RED_LOSS:
            self._red_until = now + RED_SECONDS
        is_redundant = now < self._red_until
        if self.red_payload_type is None:
            if self.cannot_repair and is_redundant != self.down_track.is_repeated:
                self.down_track.set_repeated(is_repeated=is_redundant)
        elif is_redundant != bool(self.down_track.red_block_type):
            self.track.set_redundancy(
                self.down_track,
                payload_type=self.red_payload_type if is_redundant else self._plain_payload_type,
                block_type=self._plain_payload_type if is_redundant else 0,
                now=now,
            )

    def start(self, now: float) -> None:
        """Start to send: the connection is up."""
        self._is_connected = True
        if self.red_payload_type is not None:
            self._red_until = now + RED_START_SECONDS
        self.follow_loss(0.0, now)
        if not self._is_paused:
            self.track.add(self.down_track, now)

    def close(self) -> None:
        """Stop to send: the connection is closed."""
        self._is_connected = False
        self._cancel_move()
        self.track.remove(self.down_track)

    @property
    def has_started(self) -> bool:
        """Whether the first packet has been sent."""
        return self._end is not None or self.track.has_started(self.down_track)

    @property
    def is_paused(self) -> bool:
        """Whether nothing is sent: `pause` was called, and no track goes on with the stream yet."""
        return self._is_paused

    def move_to(self, track: SwitchableTrack, now: float) -> None:
        """Send another track of the same source from its next keyframe on, and the current one until then. A stream
        that is paused goes on with it."""
        if track is self.next_track:
            return
        self._cancel_move()
        if self._end is not None:
            self.next_track = track
            track.resume(self.down_track, self._end, now=now, on_adopted=partial(self._complete_move, track))
        elif track is self.track and not self._is_paused:
            return
        elif isinstance(self.track, SwitchableTrack) and self.track.has_started(self.down_track):
            self.next_track = track
            track.adopt(self.down_track, origin=self.track, now=now, on_adopted=partial(self._complete_move, track))
        else:
            self.track.remove(self.down_track)
            self.track, self._is_paused = track, False
            if self._is_connected:
                track.add(self.down_track, now)

    def pause(self, now: float) -> None:
        """Send nothing more until `move_to` is called, and its track has a packet to go on with."""
        self._cancel_move()
        if self._is_paused:
            return
        self._is_paused = True
        if isinstance(self.track, SwitchableTrack) and self.track.has_started(self.down_track):
            self._end = self.track.stream_position(self.down_track, now)
            self._keep_run(self.track.end_run(self.down_track), now)
        else:
            self.track.hold(self.down_track)

    def resume(self, now: float) -> None:
        """Go on with the track that sent before `pause`."""
        if self._end is not None and isinstance(self.track, SwitchableTrack):
            self.move_to(self.track, now)
        elif self._is_paused:
            self._is_paused = False
            if self._is_connected:
                self.track.add(self.down_track, now)

    def cut(self, now: float) -> None:
        """Send nothing more until the next track begins."""
        track = self.next_track
        if track is not None:
            self.pause(now)
            self.move_to(track, now)

    def handle_keyframe_request(self, now: float) -> None:
        """The viewer asks for a keyframe. While the stream is paused it needs none but that of the next track."""
        if not self._is_paused:
            self.track.handle_keyframe_request(self.down_track, now)
        elif self.next_track is not None:
            self.next_track.request_keyframe(now)

    def _cancel_move(self) -> None:
        if self.next_track is not None:
            self.next_track.remove(self.down_track)
            self.next_track = None

    def is_before_move(self, sequence: int, now: float) -> bool:
        """Whether a packet is from before the keyframe at which the viewer was moved to another layer lately: it is of
        no use once that keyframe is complete."""
        first = self._moved_first
        return (
            first is not None and now - self._moved_at < RUN_HISTORY_SECONDS and sequence_distance(sequence, first) < 0
        )

    def _complete_move(self, track: SwitchableTrack, ended: EndedRun | None, now: float) -> None:
        is_same_video = isinstance(self.track, SwitchableTrack) and self.track.whole is track.whole
        position = ended or self._end
        if position is not None and (ended is None or not is_same_video):
            self._moved_first, self._moved_at = position.next_sequence, now
        if ended is not None:
            self._keep_run(ended, now)
        self.track, self.next_track, self._end, self._is_paused = track, None, None, False

    def _keep_run(self, ended: EndedRun, now: float) -> None:
        self._sent_before = ended.octets
        self._ended_runs.append(ended)
        self._moved_at = now

    def expire_runs(self, now: float) -> None:
        """Forget what earlier tracks sent, RUN_HISTORY_SECONDS after the last move. Called about once a second."""
        if self._ended_runs and now - self._moved_at > RUN_HISTORY_SECONDS:
            self._ended_runs.clear()

    def take_report(self, highest_sequence: int, reported_lost: int) -> tuple[int, int]:
        """Take what the viewer reports of the stream (RFC 3550 section 6.4.1): the highest number and the total of lost
        packets. Returns how many packets were expected since the last report, and how many of them are lost."""
        before, self._reported_highest = self._reported_highest, highest_sequence
        sent = self.down_track.packets
        expected = sent if before is None else sequence_distance(highest_sequence & 0xFFFF, before & 0xFFFF)
        lost = self.take_lost(reported_lost)
        return max(expected, lost, 0), lost

    def sent_bytes(self) -> int:
        """What has been sent to the viewer, in bytes of payload; 0 while the stream is not live."""
        return self.track.sent_octets(self.down_track) if self.track.has_started(self.down_track) else self._sent_before

    def take_lost(self, reported: int) -> int:
        """Take the total of lost packets that the viewer reports; return how many are new.

        No more are lost than were sent, whatever the viewer reports. A total that falls, because of duplicates or
        after a restart of the receiver, takes nothing back.
        """
        lost = min(reported, self.down_track.packets)
        new = max(0, lost - self.lost_packets)
        self.lost_packets += new
        return new

    def sent_size(self, sequence: int) -> int | None:
        """The size in bytes of the packet that the viewer received as `sequence`; None if it cannot be sent again.

        Without RTX it must be the same as before, to the last byte: SRTP must not use a nonce for two packets. What has
        a transport-wide number, or may have been redundant, would differ.
        """
        if self.rtx_ssrc is None and (self.extension_id or self.red_payload_type is not None):
            return None
        packet = self._find_sent(sequence)
        return None if packet is None else HEADER_SIZE_BYTES + len(packet.payload)

    def newest_sequences(self, size_bytes: int) -> list[int]:
        """The viewer's numbers of the newest packets that the track holds, with so many bytes in all, or less."""
        sequences: list[int] = []
        newest = self.track.newest_sequence(self.down_track)
        if newest is None:
            return sequences
        for behind in range(MAX_PADDING_PACKETS):
            sequence = (newest - behind) & 0xFFFF
            size = self.sent_size(sequence)
            if size is not None:
                sequences.append(sequence)
                size_bytes -= size
            if size_bytes <= 0:
                break
        return sequences

    def repeat(self, sequences: Sequence[int], number: int) -> list[bytes]:
        """The RTP packets that answer a NACK for `sequences`, which the track holds (`sent_size`).

        They are RTX packets, with the transport-wide sequence numbers from `number` on if those were negotiated.
        Without RTX they are the original packets, without such numbers.
        """
        packets: list[bytes] = []
        for index, sequence in enumerate(sequences):
            packet = self._find_sent(sequence)
            if packet is None:
                continue
            if self.rtx_payload_type is None or self.rtx_ssrc is None:
                head = HEADER.pack(
                    0x80,
                    packet.marker << 7 | self.down_track.payload_type,
                    sequence,
                    packet.timestamp,
                    self.down_track.ssrc,
                )
                packets.append(head + packet.payload)
            else:
                head = self._rtx_header(packet.marker, packet.timestamp, number + index)
                packets.append(head + sequence.to_bytes(2, "big") + packet.payload)
        return packets

    def padding(self, count: int, number: int) -> list[bytes]:
        """RTX packets of padding alone, of PADDING_BYTES each. Raises ValueError without RTX."""
        padding = bytes(PADDING_BYTES - 1) + bytes([PADDING_BYTES])
        return [self._rtx_header(0, 0, number + index, flags=0xA0) + padding for index in range(count)]

    def _rtx_header(self, marker: int, timestamp: int, number: int, *, flags: int = 0x80) -> bytes:
        if self.rtx_payload_type is None or self.rtx_ssrc is None:
            raise ValueError("the viewer has not negotiated RTX")
        self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
        marker_and_type = marker << 7 | self.rtx_payload_type
        if not self.extension_id:
            return HEADER.pack(flags, marker_and_type, self._rtx_sequence, timestamp, self.rtx_ssrc)
        # RFC 8285 section 4.2: the element's low four bits are the length of its value minus one.
        extension = _TRANSPORT_EXTENSION.pack(0xBEDE, 1, self.extension_id << 4 | 1, number & 0xFFFF)
        return HEADER.pack(flags | 0x10, marker_and_type, self._rtx_sequence, timestamp, self.rtx_ssrc) + extension

    def _find_sent(self, sequence: int) -> SentPacket | None:
        packet = self.track.find_sent(self.down_track, sequence)
        if packet is None and self._ended_runs:
            found = (ended.find_sent(sequence) for ended in reversed(self._ended_runs))
            packet = next((each for each in found if each is not None), None)
        return packet
