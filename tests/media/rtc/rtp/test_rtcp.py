"""RTCP as RFC 3550, RFC 4585, RFC 5104 and the REMB draft write it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.rtcp import (
    Goodbye,
    KeyframeRequest,
    Nack,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    pack_nack,
    parse_rtcp,
    unpack_nack,
    write_fir,
    write_nack,
    write_pli,
    write_receiver_report,
    write_remb,
    write_sender_report,
)

BLOCK = ReportBlock(
    ssrc=1, fraction_lost=3, packets_lost=-2, highest_sequence=70000, jitter=5, last_sender_report=6, delay=7
)


def test_a_sender_report_is_read_as_written() -> None:
    written = write_sender_report(ssrc=9, ntp=1 << 40, rtp_timestamp=3, packets=4, octets=5, cname=b"name")
    assert list(parse_rtcp(written)) == [SenderReport(ssrc=9, ntp=1 << 40, rtp_timestamp=3, packets=4, octets=5)]


def test_counters_that_outgrow_32_bits_wrap() -> None:
    written = write_sender_report(ssrc=9, ntp=0, rtp_timestamp=0, packets=1 << 32, octets=(1 << 32) + 1, cname=b"")
    assert list(parse_rtcp(written)) == [SenderReport(ssrc=9, ntp=0, rtp_timestamp=0, packets=0, octets=1)]


def test_a_receiver_report_is_read_as_written() -> None:
    written = write_receiver_report(ssrc=9, blocks=[BLOCK], cname=b"a name of some length")
    assert list(parse_rtcp(written)) == [ReceiverReport(ssrc=9, blocks=(BLOCK,))]
    assert len(written) % 4 == 0


def test_no_more_than_31_blocks_are_written() -> None:
    (report,) = parse_rtcp(write_receiver_report(ssrc=9, blocks=[BLOCK] * 40, cname=b""))
    assert isinstance(report, ReceiverReport)
    assert len(report.blocks) == 31


def test_keyframe_requests_are_read_as_written() -> None:
    assert list(parse_rtcp(write_pli(sender_ssrc=1, media_ssrc=2))) == [KeyframeRequest(media_ssrcs=(2,))]
    assert list(parse_rtcp(write_fir(sender_ssrc=1, media_ssrc=2, command=300))) == [KeyframeRequest(media_ssrcs=(2,))]


def test_a_goodbye_is_read() -> None:
    assert list(parse_rtcp(b"\x82\xcb\x00\x02" + b"\0\0\0\1\0\0\0\2")) == [Goodbye(ssrcs=(1, 2))]


def test_a_compound_is_read_to_its_end_and_unknown_packets_are_stepped_over() -> None:
    unknown = b"\x80\xcc\x00\x01abcd"
    compound = unknown + write_pli(sender_ssrc=1, media_ssrc=2) + write_nack(sender_ssrc=1, media_ssrc=3, sequences=[4])
    assert list(parse_rtcp(compound)) == [
        KeyframeRequest(media_ssrcs=(2,)),
        Nack(media_ssrc=3, sequences=(4,)),
    ]


def test_what_came_before_a_malformed_packet_counts() -> None:
    good = write_pli(sender_ssrc=1, media_ssrc=2)
    assert list(parse_rtcp(good + b"\x81\xce\xff\xff1234")) == list(parse_rtcp(good))


def test_padding_of_the_last_packet_names_no_lost_packets() -> None:
    nack = bytearray(write_nack(sender_ssrc=1, media_ssrc=3, sequences=[4])) + b"\0\0\0\4"
    nack[0] |= 0x20
    nack[3] += 1
    assert list(parse_rtcp(bytes(nack))) == [Nack(media_ssrc=3, sequences=(4,))]


def test_nack_items_are_the_ones_of_the_rfc() -> None:
    # RFC 4585 section 6.2.1: the id, and bit i of the mask for the packet i+1 after it.
    assert pack_nack([100, 101, 116, 117]) == bytes.fromhex("0064 8001 0075 0000")
    assert pack_nack([0xFFFF, 0]) == bytes.fromhex("ffff 0001")


@settings(max_examples=60)
@given(st.integers(0, 0xFFFF), st.sets(st.integers(0, 600), max_size=60))
def test_packed_sequence_numbers_come_out_again_in_order(first: int, ahead: set[int]) -> None:
    sequences = [(first + step) & 0xFFFF for step in sorted(ahead)]
    assert list(unpack_nack(pack_nack(sequences))) == sequences


@pytest.mark.parametrize(
    ("bitrate", "told"),
    [
        pytest.param(1000, 1000, id="without an exponent"),
        pytest.param(0x3FFFF, 0x3FFFF, id="the largest mantissa"),
        pytest.param(8_500_000, 8_499_968, id="rounded down to 18 bits"),
    ],
)
def test_remb_tells_the_rate_in_18_bits_and_an_exponent(bitrate: int, told: int) -> None:
    remb = write_remb(sender_ssrc=1, bitrate_bps=bitrate, media_ssrcs=[5, 6])
    assert remb[:2] == b"\x8f\xce"
    assert int.from_bytes(remb[2:4], "big") * 4 + 4 == len(remb)
    assert remb[12:17] == b"REMB\x02"
    rate = int.from_bytes(remb[17:20], "big")
    assert (rate & 0x3FFFF) << (rate >> 18) == told
    assert remb[20:] == b"\0\0\0\5\0\0\0\6"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(noise: bytes) -> None:
    list(parse_rtcp(noise))


@given(st.integers(0, 255), st.integers(195, 210), st.binary(max_size=80))
def test_any_body_of_a_well_framed_packet_is_read_without_an_exception(count: int, kind: int, body: bytes) -> None:
    body += bytes(-len(body) % 4)
    list(parse_rtcp(bytes([0x80 | count & 0x3F, kind]) + (len(body) // 4).to_bytes(2, "big") + body))
