"""RTCP compounds, read and written (RFC 3550 section 6, RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb). Pure.

What a peer sends has passed SRTCP authentication but may still be nonsense: reading never raises, and is bounded by
the size of a datagram.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

_SENDER_REPORT, _RECEIVER_REPORT, _SOURCE_DESCRIPTION, _GOODBYE = 200, 201, 202, 203
_TRANSPORT_FEEDBACK, _PAYLOAD_FEEDBACK = 205, 206
_FORMAT_NACK = 1
_FORMAT_PLI, _FORMAT_FIR, _FORMAT_APPLICATION = 1, 4, 15

_REPORT_BLOCK = struct.Struct("!LLLLLL")
_SENDER_INFO = struct.Struct("!QLLL")
_FEEDBACK_HEADER = struct.Struct("!BBHLL")

MAX_REPORT_BLOCKS = 31


class ReportBlock(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver says of one stream (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Of 256, since the last report."""
    packets_lost: int
    highest_sequence: int
    """Extended by the count of wraps."""
    jitter: int
    """In timestamp units."""
    last_sender_report: int
    """The middle 32 bits of its NTP time, 0 if none has come."""
    delay: int
    """Since then, in 1/65536 seconds."""


class SenderReport(msgspec.Struct, frozen=True, kw_only=True):
    """A sender's clocks (RFC 3550 section 6.4.1). `ntp` has 32 bits of seconds and 32 of fraction."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int


class ReceiverReport(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's view of the streams that we send. Blocks of sender reports are told as one of these, too."""

    ssrc: int
    blocks: tuple[ReportBlock, ...]


class Nack(msgspec.Struct, frozen=True, kw_only=True):
    """Sequence numbers of `media_ssrc` that the peer misses (RFC 4585 section 6.2.1)."""

    media_ssrc: int
    sequences: tuple[int, ...]


class KeyframeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1): the peer wants a keyframe of these streams."""

    media_ssrcs: tuple[int, ...]


class Goodbye(msgspec.Struct, frozen=True, kw_only=True):
    """BYE (RFC 3550 section 6.6)."""

    ssrcs: tuple[int, ...]


RtcpMessage: TypeAlias = SenderReport | ReceiverReport | Nack | KeyframeRequest | Goodbye


def parse_rtcp(compound: bytes) -> Iterator[RtcpMessage]:
    """Yield the messages of a compound (or reduced-size, RFC 5506) packet that we know. Never raises.

    Unknown packet types are stepped over; at the first malformed length reading ends and what came before counts.
    """
    position = 0
    while position + 4 <= len(compound):
        flags, packet_type = compound[position], compound[position + 1]
        end = position + 4 + 4 * int.from_bytes(compound[position + 2 : position + 4], "big")
        if flags >> 6 != 2 or end > len(compound):
            return
        # The last byte of a padded packet counts its padding.
        padding = compound[end - 1] if flags & 0x20 else 0
        yield from _parse_packet(packet_type, flags & 0x1F, compound[position + 4 : end - padding])
        position = end


def _parse_packet(packet_type: int, count: int, body: bytes) -> Iterator[RtcpMessage]:
    if packet_type == _SENDER_REPORT:
        yield from _parse_sender_report(count, body)
    elif packet_type == _RECEIVER_REPORT and len(body) >= 4:
        yield ReceiverReport(ssrc=_word(body, 0), blocks=_parse_blocks(count, body[4:]))
    elif packet_type == _GOODBYE and len(body) >= 4 * count:
        yield Goodbye(ssrcs=tuple(_word(body, 4 * index) for index in range(count)))
    elif packet_type == _TRANSPORT_FEEDBACK and count == _FORMAT_NACK and len(body) >= 8:
        yield Nack(media_ssrc=_word(body, 4), sequences=tuple(unpack_nack(body[8:])))
    elif packet_type == _PAYLOAD_FEEDBACK and len(body) >= 8:
        if count == _FORMAT_PLI:
            yield KeyframeRequest(media_ssrcs=(_word(body, 4),))
        elif count == _FORMAT_FIR:
            yield KeyframeRequest(media_ssrcs=tuple(_word(body, at) for at in range(8, len(body) - 7, 8)))


def _parse_sender_report(count: int, body: bytes) -> Iterator[RtcpMessage]:
    if len(body) < 24:
        return
    ntp, rtp_timestamp, packets, octets = _SENDER_INFO.unpack_from(body, 4)
    ssrc = _word(body, 0)
    yield SenderReport(ssrc=ssrc, ntp=ntp, rtp_timestamp=rtp_timestamp, packets=packets, octets=octets)
    if count:
        yield ReceiverReport(ssrc=ssrc, blocks=_parse_blocks(count, body[24:]))


def _parse_blocks(count: int, body: bytes) -> tuple[ReportBlock, ...]:
    return tuple(_parse_block(body, 24 * index) for index in range(min(count, len(body) // 24)))


def _parse_block(body: bytes, offset: int) -> ReportBlock:
    ssrc, loss, highest, jitter, last_report, delay = _REPORT_BLOCK.unpack_from(body, offset)
    lost = loss & 0xFFFFFF
    return ReportBlock(
        ssrc=ssrc,
        fraction_lost=loss >> 24,
        packets_lost=lost - (1 << 24) if lost & 0x800000 else lost,
        highest_sequence=highest,
        jitter=jitter,
        last_sender_report=last_report,
        delay=delay,
    )


def _word(body: bytes, offset: int) -> int:
    return int.from_bytes(body[offset : offset + 4], "big")


def unpack_nack(items: bytes) -> Iterator[int]:
    """The sequence numbers of generic NACK items: an id and a mask of the 16 after it (RFC 4585 section 6.2.1)."""
    for offset in range(0, len(items) - 3, 4):
        first, mask = struct.unpack_from("!HH", items, offset)
        yield first
        for bit in range(16):
            if mask >> bit & 1:
                yield (first + bit + 1) & 0xFFFF


def pack_nack(sequences: Iterable[int]) -> bytes:
    """Generic NACK items for 16-bit sequence numbers given in rising order (wrapping), as few as that order allows."""
    items: list[tuple[int, int]] = []
    for sequence in sequences:
        if items:
            first, mask = items[-1]
            ahead = (sequence - first) & 0xFFFF
            if ahead <= 16:
                items[-1] = (first, mask | (1 << ahead >> 1))
                continue
        items.append((sequence, 0))
    return b"".join(struct.pack("!HH", first, mask) for first, mask in items)


def write_sender_report(*, ssrc: int, ntp: int, rtp_timestamp: int, packets: int, octets: int, cname: bytes) -> bytes:
    """A sender report without blocks and the CNAME that RFC 3550 section 6.1 wants beside it."""
    report = struct.pack("!BBHL", 0x80, _SENDER_REPORT, 6, ssrc) + _SENDER_INFO.pack(
        ntp, rtp_timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    )
    return report + _write_cname(ssrc, cname)


def write_receiver_report(*, ssrc: int, blocks: Sequence[ReportBlock], cname: bytes) -> bytes:
    """A receiver report of at most 31 blocks, and the CNAME."""
    kept = blocks[:MAX_REPORT_BLOCKS]
    head = struct.pack("!BBHL", 0x80 | len(kept), _RECEIVER_REPORT, 1 + 6 * len(kept), ssrc)
    return head + b"".join(_write_block(block) for block in kept) + _write_cname(ssrc, cname)


def _write_block(block: ReportBlock) -> bytes:
    lost = max(-0x800000, min(block.packets_lost, 0x7FFFFF)) & 0xFFFFFF
    return _REPORT_BLOCK.pack(
        block.ssrc,
        block.fraction_lost << 24 | lost,
        block.highest_sequence & 0xFFFFFFFF,
        min(block.jitter, 0xFFFFFFFF),
        block.last_sender_report,
        min(block.delay, 0xFFFFFFFF),
    )


def _write_cname(ssrc: int, cname: bytes) -> bytes:
    chunk = struct.pack("!LBB", ssrc, 1, len(cname)) + cname + b"\0"
    chunk += bytes(-len(chunk) % 4)
    return struct.pack("!BBH", 0x81, _SOURCE_DESCRIPTION, len(chunk) // 4) + chunk


def write_nack(*, sender_ssrc: int, media_ssrc: int, sequences: Iterable[int]) -> bytes:
    """A generic NACK (RFC 4585 section 6.2.1)."""
    items = pack_nack(sequences)
    head = _FEEDBACK_HEADER.pack(0x80 | _FORMAT_NACK, _TRANSPORT_FEEDBACK, 2 + len(items) // 4, sender_ssrc, media_ssrc)
    return head + items


def write_pli(*, sender_ssrc: int, media_ssrc: int) -> bytes:
    """A picture loss indication (RFC 4585 section 6.3.1)."""
    return _FEEDBACK_HEADER.pack(0x80 | _FORMAT_PLI, _PAYLOAD_FEEDBACK, 2, sender_ssrc, media_ssrc)


def write_fir(*, sender_ssrc: int, media_ssrc: int, command: int) -> bytes:
    """A full intra request; `command` grows by one with each new request, modulo 256 (RFC 5104 section 4.3.1)."""
    head = _FEEDBACK_HEADER.pack(0x80 | _FORMAT_FIR, _PAYLOAD_FEEDBACK, 4, sender_ssrc, 0)
    return head + struct.pack("!LB3x", media_ssrc, command & 0xFF)


def write_remb(*, sender_ssrc: int, bitrate_bps: int, media_ssrcs: Sequence[int]) -> bytes:
    """A receiver estimated maximum bitrate, 18 bits and an exponent (draft-alvestrand-rmcat-remb-03 section 2.2)."""
    exponent = max(0, bitrate_bps.bit_length() - 18)
    mantissa = bitrate_bps >> exponent
    head = _FEEDBACK_HEADER.pack(0x80 | _FORMAT_APPLICATION, _PAYLOAD_FEEDBACK, 4 + len(media_ssrcs), sender_ssrc, 0)
    rate = struct.pack("!4sBBH", b"REMB", len(media_ssrcs), exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
    return head + rate + b"".join(struct.pack("!L", ssrc) for ssrc in media_ssrcs)
