"""The arrivals of a connection's packets, and the feedback message that reports them to the sender.

With transport-wide congestion control each RTP packet carries a number that counts the packets of all streams of the
connection (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2). The receiver reports the arrival time of each
number many times a second, and the sender estimates the bandwidth from them (draft-ietf-rmcat-gcc-02).

Memory and work are bounded by the packets that arrived since the last report: a gap in the numbers costs the same
however large it is. A packet that arrives after a report that passed it over gets a message of its own in the next one.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from stagebook.media.rtc.rtp.rtcp import FORMAT_TRANSPORT_WIDE, TRANSPORT_FEEDBACK
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance

FEEDBACK_INTERVAL_SECONDS = 0.05
"""libwebrtc sends feedback every 50 to 250 ms, by the bitrate, and 50 ms from 216 kbit/s on."""
MAX_PENDING_PACKETS = 1024
"""Arrivals that wait for the next message. At the rate limit of a connection some 250 arrive in an interval."""
MAX_PACKETS_PER_MESSAGE = 200
"""Keeps a message below the size of a datagram: at most two bytes for each arrival and six for its status."""
MAX_GAP_PACKETS = 3000
"""The numbers of a greater gap are not reported as lost. The next message begins behind it."""
SILENT_SECONDS = 0.5
"""After so long without a packet the path was dead. What was sent meanwhile is not reported as lost, since it tells
nothing of the path that carries packets again. libwebrtc's receiver leaves out the same: its back window is as long."""
MAX_LATE_MESSAGES = 8
"""Messages of a report for packets that an earlier report passed over. The oldest ones are left out."""

_TICKS_PER_SECOND = 4000
"""Times are sent in units of 250 us."""
_TICKS_PER_REFERENCE = 256
"""The reference time is sent in units of 64 ms."""
_NOT_RECEIVED, _SMALL_DELTA, _LARGE_DELTA = 0, 1, 2
_MAX_DELTA_TICKS = 0x7FFF
_MAX_NUMBERS = 1000
"""Between the first and the last arrival of a message. Receivers limit the numbers that they read."""
_MAX_RUN = 0x1FFF
_HEADER = struct.Struct("!BBHLLHHL")
"""Version and format, packet type, length, SSRC of the sender, SSRC of the media source, first number, count of
numbers, reference time (24 bits) and count of messages (8 bits)."""


class TransportArrivals:
    """Records the arrivals of one connection. Times are in monotonic seconds."""

    def __init__(self) -> None:
        self.has_packets = False
        """Whether a packet with a number has arrived."""
        self._highest = 0
        """The highest number so far, without wrapping."""
        self._next = 0
        """The first number that has not been reported."""
        self._pending: dict[int, int] = {}
        """When each packet since the last message arrived, in ticks, by its number without wrapping."""
        self._messages = 0
        self._reported_tick = 0
        """The last arrival of the last report."""

    def record(self, number: int, now: float) -> None:
        """Add the arrival of a packet with this 16-bit number. A second arrival of a number is ignored."""
        if not self.has_packets:
            self.has_packets = True
            self._highest = self._next = number + 0x10000
        index = self._highest + sequence_distance(number, self._highest & 0xFFFF)
        self._highest = max(self._highest, index)
        if len(self._pending) < MAX_PENDING_PACKETS:
            self._pending.setdefault(index, int(now * _TICKS_PER_SECOND))

    def take_messages(self, *, sender_ssrc: int, media_ssrc: int) -> Iterator[bytes]:
        """Yield the feedback messages for all arrivals since the last call, each one RTCP packet."""
        pending, self._pending = sorted(self._pending.items()), {}
        late = bisect_left(pending, (self._next, 0))
        # The numbers between late ones have been reported, so each of their messages has no gap.
        for run in _runs_without_gap(pending[:late])[-MAX_LATE_MESSAGES:]:
            yield self._write(run, run[0][0], sender_ssrc, media_ssrc)
        start = late
        while start < len(pending):
            number = pending[start][0]
            is_silent = pending[start][1] - self._reported_tick > SILENT_SECONDS * _TICKS_PER_SECOND
            first = number if is_silent or number - self._next > MAX_GAP_PACKETS else self._next
            end = _message_end(pending, start)
            yield self._write(pending[start:end], first, sender_ssrc, media_ssrc)
            self._next, self._reported_tick = pending[end - 1][0] + 1, pending[end - 1][1]
            start = end

    def _write(self, arrivals: Sequence[tuple[int, int]], first: int, sender_ssrc: int, media_ssrc: int) -> bytes:
        self._messages += 1
        return _write_message(
            sender_ssrc=sender_ssrc,
            media_ssrc=media_ssrc,
            first=first,
            number=self._messages - 1,
            arrivals=arrivals,
        )


def _runs_without_gap(pending: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    runs: list[list[tuple[int, int]]] = []
    for number, tick in pending:
        # Two late packets of one run arrived within seconds of each other.
        if runs and number == runs[-1][-1][0] + 1 and abs(tick - runs[-1][-1][1]) <= _MAX_DELTA_TICKS:
            runs[-1].append((number, tick))
        else:
            runs.append([(number, tick)])
    return runs


def _message_end(pending: Sequence[tuple[int, int]], start: int) -> int:
    """The index behind the last arrival that fits into a message which begins with the one at `start`."""
    first, tick_before = pending[start]
    number_before = first
    end = start + 1
    while end < min(len(pending), start + MAX_PACKETS_PER_MESSAGE):
        number, tick = pending[end]
        if number - number_before > MAX_GAP_PACKETS or abs(tick - tick_before) > _MAX_DELTA_TICKS:
            break
        if number - first > _MAX_NUMBERS:
            break
        number_before, tick_before = number, tick
        end += 1
    return end


def _write_message(
    *, sender_ssrc: int, media_ssrc: int, first: int, number: int, arrivals: Sequence[tuple[int, int]]
) -> bytes:
    """Return one message (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1)."""
    reference = arrivals[0][1] // _TICKS_PER_REFERENCE
    deltas = bytearray()
    runs: list[tuple[int, int]] = []
    expected, previous = first, reference * _TICKS_PER_REFERENCE
    for index, tick in arrivals:
        delta, previous = tick - previous, tick
        if index > expected:
            runs.append((_NOT_RECEIVED, index - expected))
        expected = index + 1
        if 0 <= delta <= 0xFF:
            deltas.append(delta)
            runs.append((_SMALL_DELTA, 1))
        else:
            deltas += delta.to_bytes(2, "big", signed=True)
            runs.append((_LARGE_DELTA, 1))
    chunks = b"".join(chunk.to_bytes(2, "big") for chunk in _chunks(runs))
    size = _HEADER.size + len(chunks) + len(deltas)
    padding = -size % 4
    head = _HEADER.pack(
        (0xA0 if padding else 0x80) | FORMAT_TRANSPORT_WIDE,
        TRANSPORT_FEEDBACK,
        (size + padding) // 4 - 1,
        sender_ssrc,
        media_ssrc,
        first & 0xFFFF,
        expected - first,
        (reference & 0xFFFFFF) << 8 | number & 0xFF,
    )
    # The last byte of the padding is its size (RFC 3550 section 6.4.1).
    return head + chunks + deltas + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def _chunks(runs: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield the status of the numbers as chunks of 16 bits (sections 3.1.3 and 3.1.4): a long run of one status, or a
    vector of 14 statuses with one bit each, or of seven with two bits."""
    merged: list[list[int]] = []
    for status, length in runs:
        if merged and merged[-1][0] == status:
            merged[-1][1] += length
        else:
            merged.append([status, length])
    position = 0
    while position < len(merged):
        status, length = merged[position]
        if length > 7 or position == len(merged) - 1:
            run = min(length, _MAX_RUN)
            yield status << 13 | run
            merged[position][1] -= run
        else:
            yield _vector(merged, position)
        while position < len(merged) and not merged[position][1]:
            position += 1


def _vector(runs: list[list[int]], position: int) -> int:
    """Return a vector with the statuses from `position` on, and take them from the runs."""
    statuses: list[int] = []
    for run in runs[position : position + 14]:
        statuses += [run[0]] * min(run[1], 14 - len(statuses))
    is_long = len(statuses) == 14 and _LARGE_DELTA not in statuses
    kept = statuses if is_long else statuses[:7]
    left = len(kept)
    for run in runs[position : position + 14]:
        taken = min(run[1], left)
        run[1] -= taken
        left -= taken
    bits = 1 if is_long else 2
    packed = 0
    for status in kept:
        packed = packed << bits | status
    return (0x8000 if is_long else 0xC000) | packed << bits * ((14 if is_long else 7) - len(kept))
