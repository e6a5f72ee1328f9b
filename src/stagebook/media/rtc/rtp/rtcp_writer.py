"""Writes the RTCP packets that the engine sends: reports, NACK, PLI, FIR and REMB.

Each function returns one packet, or a report with the source description (CNAME) that RFC 3550 section 6.1 requires in
every compound. The caller joins packets to compounds. A counter that has outgrown its field wraps or is limited, as RFC
3550 section 6.4.1 requires.
"""

import struct
from collections.abc import Iterable, Sequence

from stagebook.media.rtc.rtp.rtcp import (
    FORMAT_APPLICATION,
    FORMAT_FIR,
    FORMAT_NACK,
    FORMAT_PLI,
    PAYLOAD_FEEDBACK,
    RECEIVER_REPORT,
    REPORT_BLOCK,
    SENDER_INFO,
    SENDER_REPORT,
    SOURCE_DESCRIPTION,
    TRANSPORT_FEEDBACK,
    ReportBlock,
)

MAX_REPORT_BLOCKS = 31
"""The count field of a report has five bits."""

_FEEDBACK_HEADER = struct.Struct("!BBHLL")
"""Version and format, packet type, length, SSRC of the sender, SSRC of the media source (RFC 4585 section 6.1)."""
_VERSION = 0x80
_CNAME_ITEM = 1


def write_sender_report(*, ssrc: int, ntp: int, rtp_timestamp: int, packets: int, octets: int, cname: bytes) -> bytes:
    """Return a sender report without report blocks (RFC 3550 section 6.4.1), followed by the CNAME.

    `ntp` is taken modulo 2^64: the 32 bits of seconds wrap on 2036-02-07 (RFC 5905 section 6), and receivers only
    compare the times of one stream with each other.
    """
    report = struct.pack("!BBHL", _VERSION, SENDER_REPORT, 6, ssrc) + SENDER_INFO.pack(
        ntp & 0xFFFFFFFFFFFFFFFF, rtp_timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    )
    return report + _write_cname(ssrc, cname)


def write_receiver_report(*, ssrc: int, blocks: Sequence[ReportBlock], cname: bytes) -> bytes:
    """Return a receiver report (RFC 3550 section 6.4.2), followed by the CNAME. Blocks after the 31st are left out."""
    kept = blocks[:MAX_REPORT_BLOCKS]
    head = struct.pack("!BBHL", _VERSION | len(kept), RECEIVER_REPORT, 1 + 6 * len(kept), ssrc)
    return head + b"".join(_write_block(block) for block in kept) + _write_cname(ssrc, cname)


def _write_block(block: ReportBlock) -> bytes:
    lost = max(-0x800000, min(block.packets_lost, 0x7FFFFF)) & 0xFFFFFF
    return REPORT_BLOCK.pack(
        block.ssrc,
        block.fraction_lost << 24 | lost,
        block.highest_sequence & 0xFFFFFFFF,
        min(block.jitter, 0xFFFFFFFF),
        block.last_sender_report,
        min(block.delay, 0xFFFFFFFF),
    )


def _write_cname(ssrc: int, cname: bytes) -> bytes:
    """Return a source description with one chunk (RFC 3550 section 6.5)."""
    # The chunk ends with at least one null byte and is padded to 32 bits.
    chunk = struct.pack("!LBB", ssrc, _CNAME_ITEM, len(cname)) + cname + b"\0"
    chunk += bytes(-len(chunk) % 4)
    return struct.pack("!BBH", _VERSION | 1, SOURCE_DESCRIPTION, len(chunk) // 4) + chunk


def write_nack(*, sender_ssrc: int, media_ssrc: int, sequences: Iterable[int]) -> bytes:
    """Return a generic NACK for sequence numbers in ascending order (RFC 4585 section 6.2.1).

    In the worst case, numbers more than 16 apart, each one takes four bytes; a burst of losses takes four bytes for 17.
    """
    items = pack_nack(sequences)
    head = _FEEDBACK_HEADER.pack(
        _VERSION | FORMAT_NACK, TRANSPORT_FEEDBACK, 2 + len(items) // 4, sender_ssrc, media_ssrc
    )
    return head + items


def pack_nack(sequences: Iterable[int]) -> bytes:
    """Return the generic NACK items (RFC 4585 section 6.2.1) for 16-bit sequence numbers.

    The numbers come in ascending order and may wrap. An item covers a number and the 16 after it, so the result is as
    short as that order allows.
    """
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


def write_pli(*, sender_ssrc: int, media_ssrc: int) -> bytes:
    """Return a Picture Loss Indication (RFC 4585 section 6.3.1).

    It has no number of its own, so a sender cannot tell a repeated one from a new one. It answers each with a keyframe,
    as far as its own rate limit allows.
    """
    return _FEEDBACK_HEADER.pack(_VERSION | FORMAT_PLI, PAYLOAD_FEEDBACK, 2, sender_ssrc, media_ssrc)


def write_fir(*, sender_ssrc: int, media_ssrc: int, command: int) -> bytes:
    """Return a Full Intra Request for one stream (RFC 5104 section 4.3.1).

    `command` grows by one with each new request, modulo 256. A repeated number repeats the request.
    """
    head = _FEEDBACK_HEADER.pack(_VERSION | FORMAT_FIR, PAYLOAD_FEEDBACK, 4, sender_ssrc, 0)
    return head + struct.pack("!LB3x", media_ssrc, command & 0xFF)


def write_remb(*, sender_ssrc: int, bitrate_bps: int, media_ssrcs: Sequence[int]) -> bytes:
    """Return a Receiver Estimated Maximum Bitrate for these streams (draft-alvestrand-rmcat-remb-03 section 2.2).

    The bitrate is written as 18 bits and an exponent of two, rounded down.
    """
    exponent = max(0, bitrate_bps.bit_length() - 18)
    mantissa = bitrate_bps >> exponent
    head = _FEEDBACK_HEADER.pack(_VERSION | FORMAT_APPLICATION, PAYLOAD_FEEDBACK, 4 + len(media_ssrcs), sender_ssrc, 0)
    rate = struct.pack("!4sBBH", b"REMB", len(media_ssrcs), exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
    return head + rate + b"".join(struct.pack("!L", ssrc) for ssrc in media_ssrcs)
