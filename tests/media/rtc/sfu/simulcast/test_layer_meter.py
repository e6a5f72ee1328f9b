"""The rates of temporal layers: keyframes, publishers that send less, and silence."""

from stagebook.media.rtc.sfu.simulcast.layer_meter import PACKET_OVERHEAD_BYTES, LayerMeter

TICK_SECONDS = 0.25


class Measuring:
    """A meter, and layers of which each sends one frame an interval."""

    def __init__(self) -> None:
        self.now = 10.0
        self.meter = LayerMeter(self.now)

    def run(self, intervals: int, octets: dict[int, int]) -> None:
        """Send a frame of so many bytes, with its overhead, of each layer."""
        for _ in range(intervals):
            for temporal_id, size in octets.items():
                self.meter.add(size - PACKET_OVERHEAD_BYTES, temporal_id=temporal_id, ends_frame=True)
            self.now += TICK_SECONDS
            self.meter.end_interval(self.now)

    def bitrates(self) -> list[tuple[int, int]]:
        return [(each.max_temporal_id, each.bitrate_bps) for each in self.meter.rates()]


def test_each_rate_includes_the_layers_below() -> None:
    measuring = Measuring()
    measuring.run(4, {0: 1000, 2: 500})
    assert measuring.bitrates() == [(0, 32_000), (2, 48_000)]
    assert [each.frames_per_second for each in measuring.meter.rates()] == [4.0, 8.0]


def test_a_keyframe_is_no_higher_bitrate_and_less_is_noticed_within_a_second() -> None:
    measuring = Measuring()
    measuring.run(11, {0: 1000})
    measuring.run(1, {0: 4000})
    assert measuring.bitrates() == [(0, 40_000)]
    assert measuring.meter.rates()[-1].peak_bps == 56_000
    measuring.run(4, {0: 100})
    assert measuring.bitrates() == [(0, 3200)]
    # Of three seconds: seven frames of 1000 bytes, one of 4000 and four of 100.
    assert measuring.meter.rates()[-1].peak_bps == round(8 * 11_400 / 3)


def test_nothing_is_measured_before_the_first_interval_and_in_silence() -> None:
    measuring = Measuring()
    assert measuring.bitrates() == []
    measuring.run(1, {0: 1000})
    assert measuring.bitrates() == [(0, 32_000)]
    measuring.run(4, {})
    assert measuring.bitrates() == []
