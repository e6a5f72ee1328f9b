"""What arrives on the TCP port of media: frames (RFC 4571), of which the first decides the fate of the connection."""

from stagebook.media.rtc.ice.stun import parse_binding_request
from stagebook.media.rtc.ice.tcp_framing import LENGTH_SIZE_BYTES, FrameReader, FrameTooLargeError, write_frames
from stagebook.media.rtc.ice.ufrag import engine_of
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES
from tests.fuzz.fuzz_target import FuzzTarget, join_sized, split_sized

_CHECK = bytes.fromhex("000100002112a442") + bytes(12)


def check_tcp_frames(data: bytes) -> None:
    """A stream is refused, or its packets are those of its frames, however TCP cuts it. The parts of the input are what
    single reads return."""
    reader = FrameReader()
    packets: list[bytes] = []
    stream = b""
    for part in split_sized(data, most=256):
        try:
            packets += reader.feed(part)
        except FrameTooLargeError:
            return
        stream += part
        assert len(reader.rest) < LENGTH_SIZE_BYTES + MAX_PACKET_SIZE_BYTES
    assert FrameReader().feed(stream) == packets
    assert all(0 < len(packet) <= MAX_PACKET_SIZE_BYTES for packet in packets)
    # Another engine reads the same from what is handed over to it.
    assert FrameReader().feed(write_frames(packets) + reader.rest) == packets
    request = parse_binding_request(packets[0]) if packets else None
    if request is not None:
        engine_of(request.local_ufrag)


TARGETS = (
    FuzzTarget(
        name="tcp-frames",
        check=check_tcp_frames,
        max_size_bytes=8_192,
        seeds=(
            join_sized([write_frames([_CHECK]), write_frames([b"\x16\xfe\xfd"]), b"\0"]),
            join_sized([b"\0", b"\x14" + _CHECK, b"\0\0\0\1a"]),
        ),
        operations_per_byte=200,
    ),
)
