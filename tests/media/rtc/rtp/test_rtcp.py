"""The RTCP parser, on packets of our writer and on malformed ones."""

from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.rtcp import (
    KeyframeRequest,
    Nack,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    parse_rtcp,
)
from stagebook.media.rtc.rtp.rtcp_writer import (
    write_fir,
    write_nack,
    write_pli,
    write_receiver_report,
    write_sender_report,
)

BLOCK = ReportBlock(
    ssrc=1, fraction_lost=3, packets_lost=-2, highest_sequence=70000, jitter=5, last_sender_report=6, delay=7
)


def test_a_sender_report_is_parsed_as_written() -> None:
    written = write_sender_report(ssrc=9, ntp=1 << 40, rtp_timestamp=3, packets=4, octets=5, cname=b"name")
    assert list(parse_rtcp(written)) == [SenderReport(ssrc=9, ntp=1 << 40, rtp_timestamp=3, packets=4, octets=5)]


def test_a_receiver_report_is_parsed_as_written() -> None:
    written = write_receiver_report(ssrc=9, blocks=[BLOCK], cname=b"a name of some length")
    assert list(parse_rtcp(written)) == [ReceiverReport(ssrc=9, blocks=(BLOCK,))]
    assert len(written) % 4 == 0


def test_keyframe_requests_are_parsed_as_written() -> None:
    assert list(parse_rtcp(write_pli(sender_ssrc=1, media_ssrc=2))) == [KeyframeRequest(media_ssrcs=(2,))]
    assert list(parse_rtcp(write_fir(sender_ssrc=1, media_ssrc=2, command=300))) == [KeyframeRequest(media_ssrcs=(2,))]


def test_a_compound_is_parsed_to_its_end_and_unknown_packets_are_skipped() -> None:
    unknown = b"\x80\xcc\x00\x01abcd"
    compound = unknown + write_pli(sender_ssrc=1, media_ssrc=2) + write_nack(sender_ssrc=1, media_ssrc=3, sequences=[4])
    assert list(parse_rtcp(compound)) == [
        KeyframeRequest(media_ssrcs=(2,)),
        Nack(media_ssrc=3, sequences=(4,)),
    ]


def test_messages_before_a_malformed_packet_are_returned() -> None:
    good = write_pli(sender_ssrc=1, media_ssrc=2)
    assert list(parse_rtcp(good + b"\x81\xce\xff\xff1234")) == list(parse_rtcp(good))


def test_padding_is_not_parsed_as_nack_items() -> None:
    nack = bytearray(write_nack(sender_ssrc=1, media_ssrc=3, sequences=[4])) + b"\0\0\0\4"
    nack[0] |= 0x20
    nack[3] += 1
    assert list(parse_rtcp(bytes(nack))) == [Nack(media_ssrc=3, sequences=(4,))]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing(noise: bytes) -> None:
    list(parse_rtcp(noise))


@given(st.integers(0, 255), st.integers(195, 210), st.binary(max_size=80))
def test_arbitrary_bodies_of_well_framed_packets_raise_nothing(count: int, kind: int, body: bytes) -> None:
    body += bytes(-len(body) % 4)
    list(parse_rtcp(bytes([0x80 | count & 0x3F, kind]) + (len(body) // 4).to_bytes(2, "big") + body))
