"""Probes of a path that carries all of them."""

import pytest

from stagebook.media.rtc.congestion.bandwidth_probe import MAX_PROBE_BPS, BandwidthProbe


@pytest.mark.parametrize("wanted_bps", [500_000, 10_300_000, 50_000_000])
def test_what_a_path_carries_is_shown_up_to_the_limit(wanted_bps: int) -> None:
    probe = BandwidthProbe()
    assert probe.request(wanted_bps, 0, 100.0)
    now, number, padding_bytes = 100.0, 0, 0
    while True:
        size_bytes, seconds = probe.next_burst()
        if not size_bytes:
            break
        probe.add(number, now, size_bytes)
        now, number, padding_bytes = now + seconds, number + 1, padding_bytes + size_bytes
    probe.sent(number, now)
    shown_bps = probe.result(number, now)
    assert shown_bps is not None
    assert shown_bps > min(wanted_bps, 0.9 * MAX_PROBE_BPS)
    assert padding_bytes <= 90_000
