"""Writes transport-wide feedback, as a viewer sends it."""

import struct
from collections.abc import Sequence

from stagebook.media.rtc.congestion.transport_feedback import REFERENCE_TICKS


def write_arrivals(first: int, ticks: Sequence[int | None], *, message_count: int = 0, two_bits: bool = False) -> bytes:
    """Return the feedback control information that reports these arrivals, in ticks from any origin.

    `ticks` has None for a missing packet. Statuses are written as vectors: of two bits if asked for or needed.
    """
    arrived = [tick for tick in ticks if tick is not None]
    reference = (arrived[0] if arrived else 0) // REFERENCE_TICKS
    last = reference * REFERENCE_TICKS
    statuses, deltas = [], b""
    for tick in ticks:
        if tick is None:
            statuses.append(0)
            continue
        delta, last = tick - last, tick
        is_small = 0 <= delta < 256
        statuses.append(1 if is_small else 2)
        deltas += struct.pack("!B" if is_small else "!h", delta)
    head = struct.pack("!HH", first & 0xFFFF, len(ticks)) + reference.to_bytes(3, "big", signed=True)
    chunks = _vectors(statuses, two_bits=two_bits or 2 in statuses)
    return head + bytes([message_count & 0xFF]) + chunks + deltas


def _vectors(statuses: list[int], *, two_bits: bool) -> bytes:
    size, width = (7, 2) if two_bits else (14, 1)
    chunks = b""
    for at in range(0, len(statuses), size):
        chunk = 0
        for index, status in enumerate(statuses[at : at + size]):
            chunk |= status << (size - 1 - index) * width
        chunks += struct.pack("!H", (0xC000 if two_bits else 0x8000) | chunk)
    return chunks


def write_transport_feedback(body: bytes, *, sender_ssrc: int = 1, media_ssrc: int = 0) -> bytes:
    """Return the RTCP packet with this feedback control information, padded to words."""
    padded = body + bytes(-len(body) % 4)
    return struct.pack("!BBHLL", 0x80 | 15, 205, 2 + len(padded) // 4, sender_ssrc, media_ssrc) + padded
