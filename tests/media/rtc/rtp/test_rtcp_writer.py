"""The RTCP writer: fields that overflow, NACK items and REMB."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.rtcp import (
    ReceiverReport,
    ReportBlock,
    SenderReport,
    make_parse_budget,
    parse_rtcp,
    unpack_nack,
)
from stagebook.media.rtc.rtp.rtcp_writer import pack_nack, write_receiver_report, write_remb, write_sender_report

BLOCK = ReportBlock(
    ssrc=1, fraction_lost=3, packets_lost=-2, highest_sequence=70000, jitter=5, last_sender_report=6, delay=7
)


def test_counters_that_outgrow_32_bits_wrap() -> None:
    written = write_sender_report(ssrc=9, ntp=0, rtp_timestamp=0, packets=1 << 32, octets=(1 << 32) + 1, cname=b"")
    assert list(parse_rtcp(written, make_parse_budget())) == [
        SenderReport(ssrc=9, ntp=0, rtp_timestamp=0, packets=0, octets=1)
    ]


def test_no_more_than_31_blocks_are_written() -> None:
    (report,) = parse_rtcp(write_receiver_report(ssrc=9, blocks=[BLOCK] * 40, cname=b""), make_parse_budget())
    assert isinstance(report, ReceiverReport)
    assert len(report.blocks) == 31


def test_nack_items_are_those_of_rfc_4585() -> None:
    # RFC 4585 section 6.2.1: a sequence number, and bit i of the mask for the packet i + 1 after it.
    assert pack_nack([100, 101, 116, 117]) == bytes.fromhex("0064 8001 0075 0000")
    assert pack_nack([0xFFFF, 0]) == bytes.fromhex("ffff 0001")


@settings(max_examples=60)
@given(st.integers(0, 0xFFFF), st.sets(st.integers(0, 600), max_size=60))
def test_packed_sequence_numbers_are_unpacked_in_order(first: int, ahead: set[int]) -> None:
    sequences = [(first + step) & 0xFFFF for step in sorted(ahead)]
    assert list(unpack_nack(pack_nack(sequences))) == sequences


@pytest.mark.parametrize(
    ("bitrate", "written"),
    [
        pytest.param(1000, 1000, id="without an exponent"),
        pytest.param(0x3FFFF, 0x3FFFF, id="the largest mantissa"),
        pytest.param(8_500_000, 8_499_968, id="rounded down to 18 bits"),
    ],
)
def test_remb_has_the_bitrate_in_18_bits_and_an_exponent(bitrate: int, written: int) -> None:
    remb = write_remb(sender_ssrc=1, bitrate_bps=bitrate, media_ssrcs=[5, 6])
    assert remb[:2] == b"\x8f\xce"
    assert int.from_bytes(remb[2:4], "big") * 4 + 4 == len(remb)
    assert remb[12:17] == b"REMB\x02"
    rate = int.from_bytes(remb[17:20], "big")
    assert (rate & 0x3FFFF) << (rate >> 18) == written
    assert remb[20:] == b"\0\0\0\5\0\0\0\6"


def test_an_ntp_time_after_2036_wraps() -> None:
    # The 32 bits of seconds since 1900 end on 2036-02-07 at 06:28:16 UTC.
    ntp = (1 << 64) + (5 << 32)
    written = write_sender_report(ssrc=9, ntp=ntp, rtp_timestamp=0, packets=0, octets=0, cname=b"")
    (report,) = parse_rtcp(written, make_parse_budget())
    assert isinstance(report, SenderReport)
    assert report.ntp == 5 << 32
