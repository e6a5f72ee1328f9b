"""The RTCP parser, on packets of our writer, on malformed ones and on packets that cause much work for their size."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.rtcp import (
    MAX_RTCP_ITEMS_AT_ONCE,
    RTCP_ITEMS_PER_SECOND,
    EstimatedMaximum,
    KeyframeRequest,
    Nack,
    ReceiverReport,
    ReportBlock,
    RtcpMessage,
    SenderReport,
    TransportFeedback,
    make_parse_budget,
    parse_rtcp,
)
from stagebook.media.rtc.rtp.rtcp_writer import (
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


def parse(compound: bytes) -> list[RtcpMessage]:
    """Parse a compound with a full budget."""
    return list(parse_rtcp(compound, make_parse_budget()))


def test_a_sender_report_is_parsed_as_written() -> None:
    written = write_sender_report(ssrc=9, ntp=1 << 40, rtp_timestamp=3, packets=4, octets=5, cname=b"name")
    assert parse(written) == [SenderReport(ssrc=9, ntp=1 << 40, rtp_timestamp=3, packets=4, octets=5)]


def test_a_receiver_report_is_parsed_as_written() -> None:
    written = write_receiver_report(ssrc=9, blocks=[BLOCK], cname=b"a name of some length")
    assert parse(written) == [ReceiverReport(ssrc=9, blocks=(BLOCK,))]
    assert len(written) % 4 == 0


def test_keyframe_requests_are_parsed_as_written() -> None:
    assert parse(write_pli(sender_ssrc=1, media_ssrc=2)) == [KeyframeRequest(media_ssrcs=(2,))]
    assert parse(write_fir(sender_ssrc=1, media_ssrc=2, command=300)) == [KeyframeRequest(media_ssrcs=(2,))]


def test_a_compound_is_parsed_to_its_end_and_unknown_packets_are_skipped() -> None:
    unknown = b"\x80\xcc\x00\x01abcd"
    compound = unknown + write_pli(sender_ssrc=1, media_ssrc=2) + write_nack(sender_ssrc=1, media_ssrc=3, sequences=[4])
    assert parse(compound) == [
        KeyframeRequest(media_ssrcs=(2,)),
        Nack(media_ssrc=3, items=b"\0\4\0\0"),
    ]


def test_remb_has_a_bitrate_of_a_mantissa_and_an_exponent() -> None:
    assert parse(write_remb(sender_ssrc=1, bitrate_bps=250_000, media_ssrcs=[2, 3])) == [
        EstimatedMaximum(bitrate_bps=250_000)
    ]
    (message,) = parse(write_remb(sender_ssrc=1, bitrate_bps=1 << 40, media_ssrcs=[2]))
    assert message == EstimatedMaximum(bitrate_bps=1 << 40)
    assert parse(b"\x8f\xce\0\3" + bytes(8) + b"REMB") == []


def test_transport_wide_feedback_has_what_follows_its_ssrcs() -> None:
    assert parse(b"\x8f\xcd\0\4" + bytes(8) + b"12345678") == [TransportFeedback(body=b"12345678")]
    assert parse(b"\x8f\xcd\0\1" + bytes(4)) == []


def test_messages_before_a_malformed_packet_are_returned() -> None:
    good = write_pli(sender_ssrc=1, media_ssrc=2)
    assert parse(good + b"\x81\xce\xff\xff1234") == parse(good)


def test_padding_is_not_parsed_as_nack_items() -> None:
    nack = bytearray(write_nack(sender_ssrc=1, media_ssrc=3, sequences=[4])) + b"\0\0\0\4"
    nack[0] |= 0x20
    nack[3] += 1
    assert parse(bytes(nack)) == [Nack(media_ssrc=3, items=b"\0\4\0\0")]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing(noise: bytes) -> None:
    parse(noise)


@given(st.integers(0, 255), st.integers(195, 210), st.binary(max_size=80))
def test_arbitrary_bodies_of_well_framed_packets_raise_nothing(count: int, kind: int, body: bytes) -> None:
    body += bytes(-len(body) % 4)
    parse(bytes([0x80 | count & 0x3F, kind]) + (len(body) // 4).to_bytes(2, "big") + body)


def test_a_nack_is_unpacked_only_as_far_as_it_is_read() -> None:
    item = b"\0\1\xff\xff"
    (nack,) = parse(b"\x81\xcd" + (2 + 480).to_bytes(2, "big") + bytes(8) + item * 480)
    assert isinstance(nack, Nack)
    assert nack.items == item * 480
    assert list(itertools.islice(nack.sequences(), 18)) == [*range(1, 18), 1]
    assert sum(1 for _ in nack.sequences()) == 8160


@pytest.mark.parametrize(
    "packet",
    [
        write_pli(sender_ssrc=1, media_ssrc=2),
        write_receiver_report(ssrc=1, blocks=[BLOCK] * 31, cname=b""),
        b"\x84\xce" + (2 + 2 * 100).to_bytes(2, "big") + bytes(8) + b"\0\0\0\2\0\0\0\0" * 100,
        b"\x80\xcc\0\0",
    ],
    ids=["PLI", "receiver report", "FIR", "unknown and empty"],
)
def test_packets_and_their_items_are_charged_to_the_budget(packet: bytes) -> None:
    budget = make_parse_budget()
    budget.renew(0.0)
    items = 0
    for _ in range(2 * MAX_RTCP_ITEMS_AT_ONCE):
        for message in parse_rtcp(packet, budget):
            items += len(getattr(message, "media_ssrcs", ())) + len(getattr(message, "blocks", ()))
    assert items <= MAX_RTCP_ITEMS_AT_ONCE
    assert not budget.take()
    budget.renew(0.1)
    assert sum(budget.take() for _ in range(RTCP_ITEMS_PER_SECOND)) == RTCP_ITEMS_PER_SECOND // 10
