"""Reads transport-wide feedback: which packets of a connection arrived, and when.

The message (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1) is transport feedback (RFC 4585) of format
15. Behind the two SSRCs it has

* the number of the first packet that it reports, and how many packets it reports;
* the reference time in units of 64 ms, and a count of feedback messages;
* chunks of 16 bits with the status of each packet: a run of packets with one status, or a vector of 14 statuses of one
  bit or 7 of two bits;
* for each received packet the time since the one before it, in ticks of 250 us: one byte without a sign, or two bytes
  with one. The first counts from the reference time.

A browser sends 10 to 20 of these messages a second, each over some ten packets. In the usual case no packet is missing:
runs of small deltas are added up by `itertools.accumulate`. The work is linear in the number of reported packets, of
which MAX_PACKETS are read; the function never raises.
"""

from itertools import accumulate, groupby
from struct import unpack_from
from typing import Final, NamedTuple, TypeAlias

TICK_SECONDS: Final = 0.000_25
REFERENCE_TICKS: Final = 256
"""The unit of the reference time, 64 ms, in ticks."""
MAX_PACKETS: Final = 4096
"""The packets of one message that are read: half a second at 60 Mbit/s."""

_HEADER_SIZE_BYTES = 8
_NOT_RECEIVED, _SMALL_DELTA, _LARGE_DELTA = 0, 1, 2
_SEVEN_BITS = [tuple(bits >> shift & 1 for shift in range(6, -1, -1)) for bits in range(1 << 7)]
"""The statuses in half a vector of one-bit statuses."""

_Run: TypeAlias = tuple[int, int]
"""A status, and how many packets in a row have it."""


class PacketArrivals(NamedTuple):
    """One feedback message."""

    first: int
    """The 16-bit number of the first reported packet."""
    reference: int
    """The reference time in units of 64 ms: a signed number of 24 bits."""
    message_count: int
    """The number of the message, modulo 256."""
    ticks: list[int | None]
    """For each reported packet its arrival in ticks after the reference time; None if it has not arrived."""


def read_arrivals(body: bytes) -> PacketArrivals | None:
    """Read the feedback control information of a message: what follows its two SSRCs.

    None if it is longer than its bytes, has a reserved status or reports more than MAX_PACKETS. Never raises.
    """
    if len(body) < _HEADER_SIZE_BYTES:
        return None
    count = int.from_bytes(body[2:4], "big")
    if count > MAX_PACKETS:
        return None
    position, runs = _read_chunks(body, count)
    ticks = None if runs is None else _read_deltas(body, position, runs)
    if ticks is None:
        return None
    reference = int.from_bytes(body[4:7], "big", signed=True)
    return PacketArrivals(int.from_bytes(body[0:2], "big"), reference, body[7], ticks)


def _read_chunks(body: bytes, count: int) -> tuple[int, list[_Run] | None]:
    """Return the position behind the chunks, and the runs of equal statuses; None instead of runs if they are cut."""
    position, left = _HEADER_SIZE_BYTES, count
    runs: list[_Run] = []
    while left > 0:
        if position + 2 > len(body):
            return position, None
        chunk = body[position] << 8 | body[position + 1]
        position += 2
        if chunk < 0x8000:
            run = min(chunk & 0x1FFF, left)
            runs.append((chunk >> 13, run))
            left -= run
            continue
        statuses = _vector(chunk)[:left]
        # Most vectors are of one status but for a lost packet or two.
        runs.extend((status, len(tuple(group))) for status, group in groupby(statuses))
        left -= len(statuses)
    return position, runs


def _vector(chunk: int) -> tuple[int, ...]:
    """The statuses of a vector chunk: 14 of one bit or 7 of two bits."""
    if chunk & 0x4000:
        return tuple(chunk >> shift & 3 for shift in range(12, -1, -2))
    return _SEVEN_BITS[chunk >> 7 & 0x7F] + _SEVEN_BITS[chunk & 0x7F]


def _read_deltas(body: bytes, position: int, runs: list[_Run]) -> list[int | None] | None:
    """Return the arrivals in ticks after the reference time; None if there are fewer deltas than received packets."""
    ticks: list[int | None] = []
    tick = 0
    for status, length in runs:
        end = position + length * status
        if status == _NOT_RECEIVED:
            ticks += [None] * length
        elif status > _LARGE_DELTA or end > len(body):
            return None
        elif length:
            large = unpack_from(f"!{length}h", body, position) if status == _LARGE_DELTA else None
            arrivals = list(accumulate(body[position:end] if large is None else large, initial=tick))
            tick = arrivals[-1]
            ticks += arrivals[1:]
            position = end
    return ticks
