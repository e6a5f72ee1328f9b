"""The RTCP messages that the engine uses, and their parser (RFC 3550 section 6, RFC 4585, RFC 5104).

RTCP packets travel in compounds: several packets one after another in a datagram. A compound begins with a report, or
with anything where both sides have negotiated reduced size (RFC 5506). Every packet has a four-byte header: version,
padding flag and a five-bit count or format; packet type; length in 32-bit words minus one.

A compound has passed SRTCP authentication when it is parsed, but the peer may still send nonsense. So the parser never
raises, and its work is bounded by the size of a datagram and by a budget, which is charged for each packet and for each
item in it. A NACK is unpacked only as far as its sequence numbers are read. `rtcp_writer` writes the messages that the
engine sends.
"""

import struct
from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget

RTCP_ITEMS_PER_SECOND = 2000
MAX_RTCP_ITEMS_AT_ONCE = 1000
"""The packets and items (report blocks, FIR entries) of one peer that are parsed: rate and burst. A viewer with heavy
loss sends about 50 NACKs and some reports a second."""

# Packet types (RFC 3550 section 12.1, RFC 4585 section 6.1).
SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION = 200, 201, 202
TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 205, 206
# Feedback message types (RFC 4585 sections 6.2 and 6.3, RFC 5104 section 4.3.1,
# draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
FORMAT_NACK, FORMAT_TRANSPORT_WIDE = 1, 15
FORMAT_PLI, FORMAT_FIR, FORMAT_APPLICATION = 1, 4, 15

REPORT_BLOCK = struct.Struct("!LLLLLL")
"""SSRC, fraction and count of lost packets, highest sequence number, jitter, last report, delay since last report."""
SENDER_INFO = struct.Struct("!QLLL")
"""NTP timestamp, RTP timestamp, packet count, octet count."""


class ReportBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's statistics of one stream (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Lost packets since the previous report, as a fraction of 256."""
    packets_lost: int
    """Lost packets since the beginning. Negative if there are duplicates."""
    highest_sequence: int
    """The highest sequence number, extended by the number of wraps."""
    jitter: int
    """Interarrival jitter in timestamp units."""
    last_sender_report: int
    """The middle 32 bits of the NTP timestamp of the last sender report, 0 before the first one."""
    delay: int
    """The time since that sender report in units of 1/65536 second."""


class SenderReport(msgspec.Struct, frozen=True, kw_only=True):
    """The clocks and counters of a sender (RFC 3550 section 6.4.1)."""

    ssrc: int
    ntp: int
    """NTP timestamp: 32 bits of seconds since 1900 and 32 bits of fraction."""
    rtp_timestamp: int
    """The same instant on the clock of the stream."""
    packets: int
    octets: int


class ReceiverReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report blocks of a receiver (RFC 3550 section 6.4.2). The blocks of a sender report also become one."""

    ssrc: int
    blocks: tuple[ReportBlock, ...]


class Nack(msgspec.Struct, frozen=True, kw_only=True):
    """A generic NACK: the peer requests retransmission of packets of `media_ssrc` (RFC 4585 section 6.2.1)."""

    media_ssrc: int
    items: bytes
    """The packed items of four bytes. Each names up to 17 packets, so 1.9 KB name more than 8,000."""

    def sequences(self) -> Iterator[int]:
        """Yield the sequence numbers, one at a time: the reader stops when its budget for lookups is used up."""
        return unpack_nack(self.items)


class KeyframeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1): the peer needs a keyframe of these streams."""

    media_ssrcs: tuple[int, ...]


class TransportFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """When each packet of the connection arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1)."""

    body: bytes
    """What follows the two SSRCs. `congestion.transport_feedback` reads it."""


class EstimatedMaximum(msgspec.Struct, frozen=True, kw_only=True):
    """REMB: the most that the peer wants to be sent in all (draft-alvestrand-rmcat-remb-03 section 2.2)."""

    bitrate_bps: int


RtcpMessage: TypeAlias = SenderReport | ReceiverReport | Nack | KeyframeRequest | TransportFeedback | EstimatedMaximum


def make_parse_budget() -> RtcpBudget:
    """Return the budget for what one peer sends, for `parse_rtcp`."""
    return RtcpBudget(per_second=RTCP_ITEMS_PER_SECOND, burst=MAX_RTCP_ITEMS_AT_ONCE)


def parse_rtcp(compound: bytes, budget: RtcpBudget) -> Iterator[RtcpMessage]:
    """Yield the known messages of a compound or reduced-size packet (RFC 3550 section 6.1, RFC 5506). Never raises.

    Unknown packet types are skipped, but they are charged to `budget` like all others. At the first packet with a wrong
    version or length, and when the budget is used up, parsing ends; the messages before it are valid.
    """
    position = 0
    while position + 4 <= len(compound):
        flags, packet_type = compound[position], compound[position + 1]
        end = position + 4 + 4 * int.from_bytes(compound[position + 2 : position + 4], "big")
        if flags >> 6 != 2 or end > len(compound) or not budget.take():
            return
        # The last byte of a padded packet is the number of padding bytes (RFC 3550 section 6.4.1).
        padding = compound[end - 1] if flags & 0x20 else 0
        yield from _parse_packet(packet_type, flags & 0x1F, compound[position + 4 : end - padding], budget)
        position = end


def _parse_packet(packet_type: int, count: int, body: bytes, budget: RtcpBudget) -> Iterator[RtcpMessage]:
    """Yield the messages of one packet. `count` is the header's count or format, `body` what follows the header."""
    if packet_type == SENDER_REPORT:
        yield from _parse_sender_report(count, body, budget)
    elif packet_type == RECEIVER_REPORT and len(body) >= 4:
        yield ReceiverReport(ssrc=_word(body, 0), blocks=_parse_blocks(count, body[4:], budget))
    elif packet_type == TRANSPORT_FEEDBACK and count == FORMAT_NACK and len(body) >= 8:
        yield Nack(media_ssrc=_word(body, 4), items=body[8:])
    elif packet_type == TRANSPORT_FEEDBACK and count == FORMAT_TRANSPORT_WIDE and len(body) >= 8:
        yield TransportFeedback(body=body[8:])
    elif packet_type == PAYLOAD_FEEDBACK and len(body) >= 8:
        if count == FORMAT_PLI:
            yield KeyframeRequest(media_ssrcs=(_word(body, 4),))
        elif count == FORMAT_FIR:
            # FIR names the streams in its items of eight bytes; the media SSRC of the header is unused.
            entries = range(8, len(body) - 7, 8)
            yield KeyframeRequest(media_ssrcs=tuple(_word(body, at) for at in entries if budget.take()))
        elif count == FORMAT_APPLICATION and body[8:12] == b"REMB" and len(body) >= 16:
            yield EstimatedMaximum(bitrate_bps=(_word(body, 12) & 0x3FFFF) << (body[13] >> 2))


def _parse_sender_report(count: int, body: bytes, budget: RtcpBudget) -> Iterator[RtcpMessage]:
    if len(body) < 24:
        return
    ntp, rtp_timestamp, packets, octets = SENDER_INFO.unpack_from(body, 4)
    ssrc = _word(body, 0)
    yield SenderReport(ssrc=ssrc, ntp=ntp, rtp_timestamp=rtp_timestamp, packets=packets, octets=octets)
    if count:
        yield ReceiverReport(ssrc=ssrc, blocks=_parse_blocks(count, body[24:], budget))


def _parse_blocks(count: int, body: bytes, budget: RtcpBudget) -> tuple[ReportBlock, ...]:
    return tuple(_parse_block(body, 24 * index) for index in range(min(count, len(body) // 24)) if budget.take())


def _parse_block(body: bytes, offset: int) -> ReportBlock:
    ssrc, loss, highest, jitter, last_report, delay = REPORT_BLOCK.unpack_from(body, offset)
    lost = loss & 0xFFFFFF
    return ReportBlock(
        ssrc=ssrc,
        fraction_lost=loss >> 24,
        # The count is a signed 24-bit number.
        packets_lost=lost - (1 << 24) if lost & 0x800000 else lost,
        highest_sequence=highest,
        jitter=jitter,
        last_sender_report=last_report,
        delay=delay,
    )


def _word(body: bytes, offset: int) -> int:
    return int.from_bytes(body[offset : offset + 4], "big")


def unpack_nack(items: bytes) -> Iterator[int]:
    """Yield the sequence numbers of generic NACK items (RFC 4585 section 6.2.1).

    Each item is a sequence number and a mask of the 16 numbers after it.
    """
    for offset in range(0, len(items) - 3, 4):
        first, mask = struct.unpack_from("!HH", items, offset)
        yield first
        for bit in range(16):
            if mask >> bit & 1:
                yield (first + bit + 1) & 0xFFFF
