"""The handshake: C0, C1 and C2 in, S0, S1 and S2 out, in any pieces."""

import pytest

from stagebook.media.rtmp.handshake import ServerHandshake
from stagebook.media.rtmp.rtmp_limits import RtmpError

C1 = bytes.fromhex("00000102 00000000") + bytes(n % 251 for n in range(1528))
C2 = bytes(n % 241 for n in range(1536))
ENDED_WITH_A_DIGEST = bytes.fromhex("00000000 0900 7c02") + C1[8:]
"""As ffmpeg begins: a version in C1's second field says that a digest is somewhere in it."""


def test_the_answer_is_the_version_a_block_of_our_own_and_the_clients_block() -> None:
    """RTMP 1.0 section 5.2."""
    answer, rest = ServerHandshake().receive(b"\3" + C1)
    assert rest is None
    assert len(answer) == 1 + 2 * 1536
    assert answer[0] == 3
    assert answer[1:9] == bytes(8)
    assert answer[1 + 1536 :] == C1


def test_a_client_that_begins_the_complex_handshake_is_answered_the_simple_way() -> None:
    answer, _ = ServerHandshake().receive(b"\3" + ENDED_WITH_A_DIGEST)
    assert answer[5:9] == bytes(4)
    assert answer[1 + 1536 :] == ENDED_WITH_A_DIGEST


def test_nothing_is_answered_before_the_clients_block_is_there() -> None:
    handshake = ServerHandshake()
    assert handshake.receive(b"\3" + C1[:-1]) == (b"", None)
    answer, _ = handshake.receive(C1[-1:])
    assert answer


def test_what_follows_the_handshake_is_given_back() -> None:
    handshake = ServerHandshake()
    handshake.receive(b"\3" + C1)
    assert handshake.receive(C2 + b"the first chunk") == (b"", b"the first chunk")


def test_all_of_it_may_come_at_once() -> None:
    answer, rest = ServerHandshake().receive(b"\3" + C1 + C2)
    assert len(answer) == 1 + 2 * 1536
    assert rest == b""


def test_it_may_come_byte_by_byte() -> None:
    handshake = ServerHandshake()
    outcomes = [handshake.receive(bytes([byte])) for byte in b"\3" + C1 + C2]
    assert [rest for _, rest in outcomes] == [None] * (len(C1) + len(C2)) + [b""]
    assert sum(len(answer) for answer, _ in outcomes) == 1 + 2 * 1536


@pytest.mark.parametrize("version", [0, 2, 4, 6, 0x16, ord("G"), 255])
def test_another_version_is_refused_at_the_first_byte(version: int) -> None:
    """6 is RTMPE, 0x16 a TLS client, G a web browser."""
    with pytest.raises(RtmpError, match=f"its version, 3, not {version}"):
        ServerHandshake().receive(bytes([version]))
