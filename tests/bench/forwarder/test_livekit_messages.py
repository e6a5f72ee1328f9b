"""LiveKit's messages in protobuf's wire format. The expected bytes are those of the package `livekit-protocol`."""

import base64

from bench.forwarder.livekit_messages import (
    Published,
    SectionsNeeded,
    ServerAnswer,
    ServerCandidate,
    join_parameter,
    read_message,
    write_offer_message,
    write_ping,
    write_subscription,
)


def test_messages_of_a_viewer() -> None:
    assert write_offer_message("v=0") == b"\x0a\x0e\x0a\x05offer\x12\x03v=0\x18\x01"
    assert write_subscription(["TR_a", "TR_b"]) == b"\x32\x0e\x0a\x04TR_a\x0a\x04TR_b\x10\x01"
    assert write_ping(300) == b"\x82\x01\x03\x08\xac\x02"
    assert base64.urlsafe_b64decode(join_parameter()) == b"\x12\x0d\x0a\x09\x12\x05bench\x18\x10\x12\x00"


def test_messages_of_the_server() -> None:
    participant = b"\x0a\x04PA_x\x12\x03ann\x22\x06\x0a\x04TR_a\x22\x06\x0a\x04TR_b"
    join = b"\x1a" + bytes([len(participant)]) + participant
    published = Published(tracks={"ann": ["TR_a", "TR_b"]})
    assert read_message(b"\x0a" + bytes([len(join)]) + join) == published
    update = b"\x0a" + bytes([len(participant)]) + participant
    assert read_message(b"\x2a" + bytes([len(update)]) + update) == published
    assert read_message(b"\xca\x01\x04\x08\x01\x10\x01") == SectionsNeeded(count=2)
    assert read_message(b"\x12\x0d\x0a\x06answer\x12\x03v=0") == ServerAnswer(sdp="v=0")
    candidate = b'{"candidate": "candidate:1 1 udp 5"}'
    trickle = b"\x0a" + bytes([len(candidate)]) + candidate
    assert read_message(b"\x22" + bytes([len(trickle)]) + trickle) == ServerCandidate(candidate="candidate:1 1 udp 5")
    assert read_message(b"\x32\x00") is None
