"""What arrives on a UDP port: STUN, DTLS, RTP and RTCP. None of their parsers raises."""

from datetime import UTC, datetime

import aioice.stun

from stagebook.media.codecs import h264, vp8, vp8_descriptor
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.codecs.h264_parameter_sets import MAX_PARAMETER_SETS_BYTES, ParameterSets
from stagebook.media.rtc.congestion.rate_control import CEILING_BPS, FLOOR_BPS
from stagebook.media.rtc.congestion.send_side_estimate import SendSideEstimate
from stagebook.media.rtc.congestion.transport_feedback import MAX_PACKETS, read_arrivals
from stagebook.media.rtc.dtls.dtls_association import DATAGRAM_SIZE_BYTES, DtlsAssociation, DtlsState
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.dtls.dtls_records import MAX_RECORDS, RecordFilter, split_records
from stagebook.media.rtc.ice.stun import (
    binding_success,
    is_binding_indication,
    is_stun,
    is_success_response,
    parse_binding_request,
    unknown_attributes_error,
)
from stagebook.media.rtc.rtp.missing_packets import MAX_MISSING_PACKETS
from stagebook.media.rtc.rtp.red_payload import MAX_REPEATED_FRAMES, unpack_red
from stagebook.media.rtc.rtp.renumbering import Renumbering
from stagebook.media.rtc.rtp.rtcp import (
    MAX_RTCP_ITEMS_AT_ONCE,
    EstimatedMaximum,
    KeyframeRequest,
    Nack,
    ReceiverReport,
    RtcpMessage,
    SenderReport,
    TransportFeedback,
    make_parse_budget,
    parse_rtcp,
    unpack_nack,
)
from stagebook.media.rtc.rtp.rtcp_writer import pack_nack, write_receiver_report, write_remb, write_sender_report
from stagebook.media.rtc.rtp.rtp_packet import HEADER, extension_value, parse_rtp
from stagebook.media.rtc.rtp.stream_receiver import StreamReceiver
from stagebook.media.rtc.rtp.transport_arrivals import TransportArrivals
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayerReader
from stagebook.media.rtc.sfu.simulcast.picture_numbers import PictureNumbers
from tests.fuzz.fuzz_target import FuzzTarget, join_sized, split_sized

MTU_BYTES = 1_500
_PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
_ADDRESSES = (("192.0.2.1", 32_853), ("2001:db8::1", 9), ("::ffff:192.0.2.1", 1))
_TRANSACTION = bytes(range(12))
_DTLS_CONTEXT = dtls_context(make_certificate(datetime(2026, 1, 1, tzinfo=UTC)))


def check_stun(data: bytes) -> None:
    """A datagram is no binding request, or its responses can be read by another implementation.

    The input is read twice: as a datagram, and as the attributes of a request whose header is right. As those of a
    response to a request of ours it never has the right signature.
    """
    is_binding_indication(data)
    attributes = data[: MTU_BYTES - 20]
    attributes = attributes[: len(attributes) & ~3]
    with_header = b"\0\1" + len(attributes).to_bytes(2) + b"\x21\x12\xa4\x42" + _TRANSACTION + attributes
    assert not is_success_response(b"\1\1" + with_header[2:], _TRANSACTION, b"not the password of the response")
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
            receiver.repair(sequence, now)
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
        elif isinstance(message, EstimatedMaximum):
            written = write_remb(sender_ssrc=1, bitrate_bps=message.bitrate_bps, media_ssrcs=[2])
            assert _parse(written) == [message]
        else:
            assert isinstance(message, KeyframeRequest | TransportFeedback)


def check_transport_feedback(data: bytes) -> None:
    """Any feedback costs bounded work and memory, and leaves an estimate within its limits.

    Each part of the input is a message, 50 ms after the one before. Packets are sent meanwhile, and probes run.
    """
    estimate = SendSideEstimate()
    history = estimate.history
    for number, body in enumerate(split_sized(data, most=32)):
        now = number / 20
        for batch in range(3):
            history.add(history.take(4), (1200, 1200, 1200, 300), now + batch / 100)
        if estimate.probe.request(1_000_000, history.next_number, now, estimate_bps=1_000_000):
            while estimate.probe.next_burst()[0]:
                history.add(history.take(2), (1100, 1100), now + 0.04)
            estimate.probe.sent(history.next_number, now)
        arrivals = read_arrivals(body)
        assert arrivals is None or len(arrivals.ticks) <= MAX_PACKETS
        estimate.receive(body, now + 0.05)
        estimate.handle_timers(now + 0.05)
        assert FLOOR_BPS <= estimate.rates.bitrate_bps <= CEILING_BPS
        assert 0 <= estimate.losses.fraction <= 1
        assert len(estimate._missing) <= MAX_PACKETS


def _parse(compound: bytes) -> list[RtcpMessage]:
    budget = make_parse_budget()
    budget.renew(0.0)
    return list(parse_rtcp(compound, budget))


def check_red(data: bytes) -> None:
    """A RED payload is refused, or its frames are parts of it, each of a packet of its own."""
    audio = unpack_red(data, data[-1] & 0x7F if data else 0)
    if audio is None:
        return
    assert len(audio.repeated) <= MAX_REPEATED_FRAMES
    assert sum(len(frame.payload) for frame in audio.repeated) + len(audio.payload) < len(data)
    before = [frame.packets_before for frame in audio.repeated]
    assert before == sorted(set(before), reverse=True)
    assert all(number > 0 for number in before)


def check_transport_arrivals(data: bytes) -> None:
    """Any numbers and times cost a bounded number of messages, which can be read, and each arrival is reported once.

    Each part of the input is a packet: a step of the time, a number, and whether the arrivals are reported behind it.
    """
    arrivals = TransportArrivals()
    now = 0.0
    packets = reported = 0
    for part in split_sized(data, most=256):
        now += int.from_bytes(part[:1]) / 10
        arrivals.record(int.from_bytes(part[1:3]), now)
        packets += 1
        if not part[3:]:
            continue
        for message in arrivals.take_messages(sender_ssrc=1, media_ssrc=2):
            assert len(message) <= MTU_BYTES
            read = read_arrivals(message[12:])
            assert read is not None
            reported += len(read.ticks) - read.ticks.count(None)
    assert reported <= packets


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


def check_picture_layers(data: bytes) -> None:
    """Packets of any frames: the thinned stream has no gaps that the whole one has not, and its numbers are those of
    one stream.

    Each part of the input is a packet: a step of the sequence number, one of the timestamp, and the payload.
    """
    for codec in (Codec.VP8, Codec.H264):
        reader, numbers, pictures = PictureLayerReader(codec), Renumbering(bits=16), PictureNumbers()
        sequence = highest = timestamp = 0
        numbers.follow(sequence)
        for part in split_sized(data):
            sequence = (sequence + int.from_bytes(part[:1], signed=True)) & 0xFFFF
            timestamp += int.from_bytes(part[1:2])
            is_late = (sequence - highest) & 0xFFFF >= 0x8000
            highest = highest if is_late else sequence
            payload = part[2:]
            picture = reader.read(sequence=sequence, timestamp=timestamp, payload=payload, is_late=is_late)
            assert 0 <= picture.temporal_id < 8
            if picture.temporal_id > 1 and numbers.leave_out(sequence):
                if picture.vp8 is not None:
                    pictures.leave_out(picture.vp8)
                continue
            numbers.map(sequence)
            changed = pictures.rewrite(payload, picture.vp8)
            assert len(changed) == len(payload)
            if picture.vp8 is not None:
                assert changed[picture.vp8.size :] == payload[picture.vp8.size :]
                assert vp8_descriptor.parse_descriptor(changed) is not None
            restored = vp8_descriptor.shifted(
                vp8_descriptor.shifted(payload, picture_id=5, tl0=7), picture_id=-5, tl0=-7
            )
            assert restored == payload


_NACK = bytes.fromhex("81cd0003 00000001 00000002 0001ffff")
_PLI = bytes.fromhex("81ce0002 00000001 00000002")
_FIR = bytes.fromhex("84ce0004 00000001 00000000 00000002 01000000")
_REPORT = bytes.fromhex("81c90007 00000001 00000002 01000001 00000003 00000004 00000005 00000006")
_SENDER_REPORT = bytes.fromhex("80c80006 00000001 0000000200000003 00000004 00000005 00000006")
_REMB = bytes.fromhex("8fce0005 00000001 00000000 52454d42 0107a120 00000002")
_TRANSPORT_FEEDBACK = [
    bytes.fromhex("0000000c 000001 00 200c 0a01010128010101 30010101"),
    bytes.fromhex("000c0018 000001 01 bffe a000 0101020301010203 01010101010101"),
    bytes.fromhex("00100007 000002 02 d999 01 0010 01 fff0 01 0001 01"),
]
_RTP = bytes.fromhex("9060000100000002 00000003 bede0001 10ff0000") + b"\x65\x88payload"
_H264_PAYLOADS = [
    bytes.fromhex("78 0009 6742c01fd9005005bb 0004 68cb8cb2 0003 658880"),
    bytes.fromhex("7c85888000"),
    bytes.fromhex("7c0501"),
    bytes.fromhex("419a00"),
]
_VP8_PAYLOADS = [bytes.fromhex("90e08123456000 9d012a 8002e001"), bytes.fromhex("10 000000 9d012a 8002e001")]
_VP8_LAYERS = [bytes.fromhex("b0e0811205a00100"), bytes.fromhex("90e013068001 00"), bytes.fromhex("80e08113064001 00")]
_STREAM = [bytes([1, 0, number, 0, 0, 0, number]) for number in (1, 2, 5, 4, 9)] + [bytes([9, 0, 3, 0, 0, 0, 3, 1])]
_RED = bytes.fromhex("ef0f0003 6f") + b"oldnew" + bytes([0x6F])
_ARRIVALS = [bytes([1, 0, number]) for number in (1, 2, 5, 4, 9)] + [bytes([9, 0, 3, 1]), bytes([0, 9, 9, 1])]

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
    FuzzTarget(name="red", check=check_red, max_size_bytes=MTU_BYTES, seeds=(_RED,)),
    FuzzTarget(
        name="transport-arrivals",
        check=check_transport_arrivals,
        max_size_bytes=2_560,
        seeds=(join_sized(_ARRIVALS),),
        operations_per_byte=500,
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
        name="picture-layers",
        check=check_picture_layers,
        max_size_bytes=8_192,
        seeds=(join_sized([b"\1\x10" + payload for payload in _H264_PAYLOADS + _VP8_PAYLOADS + _VP8_LAYERS]),),
        operations_per_byte=300,
        operations_per_input=40_000,
    ),
    FuzzTarget(
        name="rtcp",
        check=check_rtcp,
        max_size_bytes=MTU_BYTES,
        seeds=(_NACK + _PLI, _REPORT + _FIR, _SENDER_REPORT, _REMB),
        operations_per_byte=200,
    ),
    FuzzTarget(
        name="transport-feedback",
        check=check_transport_feedback,
        max_size_bytes=4_096,
        seeds=(join_sized(_TRANSPORT_FEEDBACK),),
        # A message of 10 bytes may report 4096 missing packets.
        operations_per_byte=4_000,
        operations_per_input=100_000,
    ),
)
