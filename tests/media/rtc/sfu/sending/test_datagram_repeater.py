"""Datagrams that are sent twice."""

import pytest

from stagebook.media.rtc.sfu.sending.datagram_repeater import DatagramRepeater
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters

ADDRESS = ("192.0.2.1", 5)


def test_each_datagram_is_sent_again_behind_the_next_one() -> None:
    sent: list[bytes] = []
    counters = MediaCounters()
    buffer = bytearray(3)

    def sendto(data: memoryview, address: tuple[str, int]) -> int:
        assert address == ADDRESS
        sent.append(bytes(data))
        return len(data)

    repeater = DatagramRepeater(sendto, counters)
    for text in (b"one", b"two", b"six"):
        buffer[:] = text
        assert repeater(memoryview(buffer), ADDRESS) == 3
    assert sent == [b"one", b"two", b"one", b"six", b"two"]
    assert (counters.resent_packets, counters.resent_bytes) == (2, 6)


def test_a_datagram_that_cannot_be_sent_is_refused_like_that_of_a_socket() -> None:
    def sendto(_data: memoryview, _address: object) -> int:
        raise OSError("full")

    repeater = DatagramRepeater(sendto, MediaCounters())
    with pytest.raises(OSError, match="full"):
        repeater(memoryview(b"one"), ADDRESS)
