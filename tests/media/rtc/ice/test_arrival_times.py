"""The time that a datagram has waited, from the kernel's control message. `test_udp_socket` has real datagrams."""

import struct

import pytest

from stagebook.media.rtc.ice.arrival_times import waited_seconds


@pytest.mark.parametrize(("arrived_at", "waited"), [(99.5, 0.5), (100.25, -0.25), (98.0, 0.0), (3_000.0, 0.0)])
def test_a_time_of_arrival_of_another_clock_is_ignored(arrived_at: float, waited: float) -> None:
    timespec = struct.pack("@ll", int(arrived_at), int(arrived_at % 1 * 1e9))
    assert waited_seconds(timespec, 100.0) == pytest.approx(waited)
    assert waited_seconds(timespec[:8], 100.0) == 0.0
