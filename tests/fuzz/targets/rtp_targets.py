"""What arrives on a UDP port: STUN, DTLS, RTP and RTCP. None of their parsers raises."""

from datetime import UTC, datetime

import aioice.stun

from stagebook.media.codecs import h264, vp8
from stagebook.media.codecs.h264_parameter_sets import MAX_PARAMETER_SETS_BYTES, ParameterSets
from stagebook.media.rtc.dtls.dtls_association import DATAGRAM_SIZE_BYTES, DtlsAssociation, DtlsState
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.dtls.dtls_records import MAX_RECORDS, RecordFilter, split_records
from stagebook.media.rtc.ice.stun import (
    binding_success,
    is_binding_indication,
    is_stun,
    parse_binding_request,
    unknown_attributes_error,
)
from stagebook.media.rtc.rtp.rtcp import (
    MAX_RTCP_ITEMS_AT_ONCE,
    KeyframeRequest,
    Nack,
    ReceiverReport,
    RtcpMessage,
    SenderReport,
    make_parse_budget,
    parse_rtcp,
    unpack_nack,
)
from stagebook.media.rtc.rtp.rtcp_writer import pack_nack, write_receiver_report, write_sender_report
from stagebook.media.rtc.rtp.rtp_packet import HEADER, extension_value, parse_rtp
from stagebook.media.rtc.rtp.stream_receiver import MAX_MISSING_PACKETS, StreamReceiver
from tests.fuzz.fuzz_target import FuzzTarget, join_sized, split_sized

MTU_BYTES = 1_500
_PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
_ADDRESSES = (("192.0.2.1", 32_853), ("2001:db8::1", 9), ("::ffff:192.0.2.1", 1))
_TRANSACTION = bytes(range(12))
_DTLS_CONTEXT = dtls_context(make_certificate(datetime(2026, 1, 1, tzinfo=UTC)))


def check_stun(data: bytes) -> None:
    """A datagram is no binding request, or its responses can be read by another implementation.

    The input is read twice: as a datagram, and as the attributes of a request whose header is right.
    """
    is_binding_indication(data)
    attributes = data[: MTU_BYTES - 20]
    attributes = attributes[: len(attributes) & ~3]
    with_header = b"\0\1" + len(attributes).to_bytes(2) + b"\x21\x12\xa4\x42" + _TRANSACTION + attributes
    for datagram in (data, with_header):
        request = parse_binding_request(datagram)
        if request is None:
            continue
        assert is_stun(datagram)
        assert len(request.signed) <= len(datagram)
        assert not request.verify(b"not the password of the request")
        for address in _ADDRESSES:
            message = aioice.stun.parse_message(binding_success(request, address, _PASSWORD))
            message.check_message_integrity(_PASSWORD)
            assert message.transaction_id == request.transaction_id
            host = address[0].removeprefix("::ffff:")
            assert message.attributes["XOR-MAPPED-ADDRESS"] == (host, address[1])
        assert is_stun(unknown_attributes_error(request, _PASSWORD))


def check_dtls(data: bytes) -> None:
    """The datagrams of a peer reach OpenSSL filtered, and the association stays in one of its states."""
    association, records = DtlsAssociation(_DTLS_CONTEXT), RecordFilter()
    early_records = 0
    for datagram in split_sized(data, most=16):
        assert datagram.startswith(b"".join(split_records(datagram)))
        passed = list(split_records(records.select(datagram, handshaking=True)))
        assert len(passed) <= MAX_RECORDS
        early_records += sum(record[3:5] == b"\0\1" for record in passed)
        connected = split_records(RecordFilter().select(datagram, handshaking=False))
        assert all(record[3:5] == b"\0\1" for record in connected)
        association.receive(datagram)
        assert all(len(sent) <= DATAGRAM_SIZE_BYTES for sent in association.take_datagrams())
        assert association.state in (DtlsState.HANDSHAKING, DtlsState.FAILED, DtlsState.CLOSED)
        assert association.state is not DtlsState.FAILED or association.failure
    assert early_records <= RecordFilter.MAX_EARLY_RECORDS


def check_rtp(data: bytes) -> None:
    """A packet is refused, or it can be written from its fields and is parsed as the same packet."""
    packet = parse_rtp(data)
    if packet is None:
        return
    assert 12 + len(packet.extension) + len(packet.payload) <= len(data)
    assert not packet.extension or len(packet.extension) == 4 + 4 * int.from_bytes(packet.extension[2:4])
    for wanted_id in (1, 4, 14, 15, 255):
        value = extension_value(packet.extension, wanted_id)
        assert value is None or value in packet.extension
    header = HEADER.pack(
        0x90 if packet.extension else 0x80,
        packet.marker << 7 | packet.payload_type,
        packet.sequence,
        packet.timestamp,
        packet.ssrc,
    )
    assert parse_rtp(header + packet.extension + packet.payload) == packet


def check_rtp_stream(data: bytes) -> None:
    """Any sequence numbers cost a bounded number of missing packets, and their reports can be written.

    Each part of the input is a packet: a step of the time, a sequence number and a timestamp.
    """
    receiver = StreamReceiver(ssrc=1, clock_rate=90_000)
    now = 0.0
    for part in split_sized(data, most=256):
        now += int.from_bytes(part[:1]) / 100
        sequence, timestamp = int.from_bytes(part[1:3]), int.from_bytes(part[3:7])
        if part[7:]:
            receiver.repair(sequence)
        else:
            receiver.receive(sequence=sequence, timestamp=timestamp, now=now)
        nacks = receiver.due_nacks(now)
        assert len(nacks) <= MAX_MISSING_PACKETS
        assert len(set(nacks)) == len(nacks)
        assert set(unpack_nack(pack_nack(nacks))) == set(nacks)
        report = receiver.report(now)
        if report is not None:
            write_receiver_report(ssrc=2, blocks=[report], cname=b"x")


def check_rtcp(data: bytes) -> None:
    """A compound has a bounded number of messages, and each can be written and is parsed as the same message."""
    messages = _parse(data)
    assert len(messages) <= MAX_RTCP_ITEMS_AT_ONCE
    for message in messages:
        if isinstance(message, Nack):
            sequences = sorted(set(message.sequences()))
            assert len(sequences) <= 17 * len(message.items) // 4
            assert list(unpack_nack(pack_nack(sequences))) == sequences
        elif isinstance(message, SenderReport):
            written = write_sender_report(
                ssrc=message.ssrc,
                ntp=message.ntp,
                rtp_timestamp=message.rtp_timestamp,
                packets=message.packets,
                octets=message.octets,
                cname=b"x",
            )
            assert _parse(written) == [message]
        elif isinstance(message, ReceiverReport):
            assert _parse(write_receiver_report(ssrc=message.ssrc, blocks=message.blocks, cname=b"x")) == [message]
        else:
            assert isinstance(message, KeyframeRequest)


def _parse(compound: bytes) -> list[RtcpMessage]:
    budget = make_parse_budget()
    budget.renew(0.0)
    return list(parse_rtcp(compound, budget))


def check_rtp_payloads(data: bytes) -> None:
    """The payloads of one stream: keyframes, sizes and parameter sets, whichever codec they are of."""
    sets = ParameterSets()
    for number, payload in enumerate(split_sized(data)):
        h264.starts_keyframe(payload)
        h264.continues_nal_unit(payload)
        units = list(h264.nal_units(payload))
        assert sum(map(len, units)) <= len(payload)
        for unit in units:
            h264.slice_type(unit)
        added = sets.missing_before(payload, number // 2)
        assert added is None or len(added) <= MTU_BYTES
        assert len(sets._sets) <= MAX_PARAMETER_SETS_BYTES
        assert min(sets.size) >= 0
        size = vp8.keyframe_size(payload)
        assert size is None or (vp8.starts_keyframe(payload) and min(size) > 0)


_NACK = bytes.fromhex("81cd0003 00000001 00000002 0001ffff")
_PLI = bytes.fromhex("81ce0002 00000001 00000002")
_FIR = bytes.fromhex("84ce0004 00000001 00000000 00000002 01000000")
_REPORT = bytes.fromhex("81c90007 00000001 00000002 01000001 00000003 00000004 00000005 00000006")
_SENDER_REPORT = bytes.fromhex("80c80006 00000001 0000000200000003 00000004 00000005 00000006")
_RTP = bytes.fromhex("9060000100000002 00000003 bede0001 10ff0000") + b"\x65\x88payload"
_H264_PAYLOADS = [
    bytes.fromhex("78 0009 6742c01fd9005005bb 0004 68cb8cb2 0003 658880"),
    bytes.fromhex("7c85888000"),
    bytes.fromhex("7c0501"),
    bytes.fromhex("419a00"),
]
_VP8_PAYLOADS = [bytes.fromhex("90e08123456000 9d012a 8002e001"), bytes.fromhex("10 000000 9d012a 8002e001")]
_STREAM = [bytes([1, 0, number, 0, 0, 0, number]) for number in (1, 2, 5, 4, 9)] + [bytes([9, 0, 3, 0, 0, 0, 3, 1])]

TARGETS = (
    FuzzTarget(name="stun", check=check_stun, max_size_bytes=MTU_BYTES, operations_per_input=30_000),
    FuzzTarget(name="dtls", check=check_dtls, max_size_bytes=8_192),
    FuzzTarget(name="rtp", check=check_rtp, max_size_bytes=MTU_BYTES, seeds=(_RTP,)),
    FuzzTarget(
        name="rtp-stream",
        check=check_rtp_stream,
        max_size_bytes=2_560,
        seeds=(join_sized(_STREAM),),
        # A packet may be 512 after the one before, each of which is requested.
        operations_per_byte=5_000,
    ),
    FuzzTarget(
        name="rtp-payloads",
        check=check_rtp_payloads,
        max_size_bytes=8_192,
        seeds=(join_sized(_H264_PAYLOADS), join_sized(_VP8_PAYLOADS)),
        operations_per_byte=200,
        operations_per_input=40_000,
    ),
    FuzzTarget(
        name="rtcp",
        check=check_rtcp,
        max_size_bytes=MTU_BYTES,
        seeds=(_NACK + _PLI, _REPORT + _FIR, _SENDER_REPORT),
        operations_per_byte=200,
    ),
)
