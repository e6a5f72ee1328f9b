"""The packet counts of viewers."""

from bench.forwarder.publisher_and_viewer import StreamCount


def counted(*sequences: int) -> tuple[int, int]:
    count = StreamCount(highest=sequences[0] - 1)
    for sequence in sequences:
        count.count_packet(sequence)
    return count.received, count.highest - sequences[0] + 1


def test_packets_in_order_are_received_and_expected() -> None:
    assert counted(5, 6, 7) == (3, 3)


def test_a_gap_is_expected_and_not_received() -> None:
    assert counted(5, 6, 9) == (3, 5)


def test_a_late_packet_fills_its_gap() -> None:
    assert counted(5, 7, 6) == (3, 3)


def test_sequence_numbers_wrap() -> None:
    assert counted(0xFFFE, 0xFFFF, 0, 1) == (4, 4)
