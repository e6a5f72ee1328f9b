"""The handshake: C0, C1 and C2 in, S0, S1 and S2 out, whatever the sizes of the reads."""

import pytest

from stagebook.media.rtmp.handshake import ServerHandshake
from stagebook.media.rtmp.rtmp_error import RtmpError

C1 = bytes.fromhex("00000102 00000000") + bytes(n % 251 for n in range(1528))
C2 = bytes(n % 241 for n in range(1536))
C1_WITH_DIGEST = bytes.fromhex("00000000 0900 7c02") + C1[8:]
"""The complex handshake of ffmpeg: a version in the zero field announces a digest."""


def test_the_answer_is_the_version_s1_and_a_copy_of_c1() -> None:
    """RTMP 1.0 section 5.2."""
    answer, rest = ServerHandshake().receive(b"\3" + C1)
    assert rest is None
    assert len(answer) == 1 + 2 * 1536
    assert answer[0] == 3
    assert answer[1:9] == bytes(8)
    assert answer[1 + 1536 :] == C1


def test_the_complex_handshake_is_answered_with_the_simple_one() -> None:
    answer, _ = ServerHandshake().receive(b"\3" + C1_WITH_DIGEST)
    assert answer[5:9] == bytes(4)
    assert answer[1 + 1536 :] == C1_WITH_DIGEST


def test_nothing_is_sent_before_c1_is_complete() -> None:
    handshake = ServerHandshake()
    assert handshake.receive(b"\3" + C1[:-1]) == (b"", None)
    answer, _ = handshake.receive(C1[-1:])
    assert answer


def test_the_bytes_after_the_handshake_are_returned() -> None:
    handshake = ServerHandshake()
    handshake.receive(b"\3" + C1)
    assert handshake.receive(C2 + b"the first chunk") == (b"", b"the first chunk")


def test_the_handshake_may_arrive_at_once() -> None:
    answer, rest = ServerHandshake().receive(b"\3" + C1 + C2)
    assert len(answer) == 1 + 2 * 1536
    assert rest == b""


def test_the_handshake_may_arrive_byte_by_byte() -> None:
    handshake = ServerHandshake()
    outcomes = [handshake.receive(bytes([byte])) for byte in b"\3" + C1 + C2]
    assert [rest for _, rest in outcomes] == [None] * (len(C1) + len(C2)) + [b""]
    assert sum(len(answer) for answer, _ in outcomes) == 1 + 2 * 1536


@pytest.mark.parametrize("version", [0, 2, 4, 6, 0x16, ord("G"), 255])
def test_another_version_is_an_error_at_the_first_byte(version: int) -> None:
    """6 is RTMPE, 0x16 begins a TLS handshake, and G an HTTP request."""
    with pytest.raises(RtmpError, match=f"it must be 3, not {version}"):
        ServerHandshake().receive(bytes([version]))
