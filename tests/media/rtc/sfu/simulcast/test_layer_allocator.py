"""The choice of a version for one viewer, in virtual time and with any lines."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.sfu.simulcast.layer_allocator import (
    KEEP_FACTOR,
    MAX_BACK_OFF_SECONDS,
    MAX_STEP,
    MIN_FRAMES_PER_SECOND,
    RAISE_FACTOR,
    LayerAllocator,
    Version,
    VersionKey,
    ladder,
)

AUDIO_BPS: Final = 50_000
TICK_SECONDS: Final = 0.25
SIZES: Final = {"low": 320 * 180, "mid": 640 * 360, "high": 1280 * 720}
RATES: Final = {"low": 200_000, "mid": 700_000, "high": 1_700_000}
SHARES: Final = {0: (0.5, 7.5), 1: (0.7, 15.0), None: (1.0, 30.0)}
"""The share of the bitrate, and the frames a second, of the versions of a layer."""


def versions(rates: dict[str, int] = RATES) -> tuple[Version, ...]:
    return ladder(
        [
            Version(VersionKey(rid, level), round(rate * share), round(rate * share), SIZES[rid], frames)
            for rid, rate in rates.items()
            for level, (share, frames) in SHARES.items()
        ]
    )


class Line:
    """A viewer's line, whose capacity the estimate and the probes find out at once."""

    def __init__(self, capacity_bps: int) -> None:
        self.capacity_bps = capacity_bps
        self.estimate_bps: int | None = capacity_bps
        self.asked: list[int] = []
        self.is_full = True

    def may_raise(self, bitrate_bps: int, now: float) -> bool:  # noqa: ARG002 - the answer does not depend on the time
        self.asked.append(bitrate_bps)
        return bitrate_bps <= self.capacity_bps


class Watching:
    """One viewer over time."""

    def __init__(self, line: Line, offered: tuple[Version, ...] | None = None) -> None:
        self.line = line
        self.offered = versions() if offered is None else offered
        self.now = 100.0
        self.current: VersionKey | None = VersionKey("high")
        self.history: list[tuple[float, VersionKey | None]] = []
        self.redundant_bps = 0
        self._allocator = LayerAllocator()

    def tick(self) -> VersionKey | None:
        self.now += TICK_SECONDS
        chosen = self._allocator.choose(
            self.offered,
            self.current,
            bandwidth=self.line,
            audio_bps=AUDIO_BPS,
            redundant_bps=self.redundant_bps,
            now=self.now,
        )
        if chosen != self.current:
            self.history.append((self.now, chosen))
        self.current = chosen
        return chosen

    def run(self, seconds: float) -> VersionKey | None:
        for _ in range(round(seconds / TICK_SECONDS)):
            self.tick()
        return self.current

    @property
    def sent_bps(self) -> int:
        return next((each.bitrate_bps for each in self.offered if each.key == self.current), 0)


def test_a_viewer_without_an_estimate_is_sent_the_best_version() -> None:
    line = Line(0)
    line.estimate_bps = None
    assert Watching(line).tick() == VersionKey("high")


def test_frames_are_given_up_before_the_size_is() -> None:
    watching = Watching(Line(10_000_000))
    seen = [watching.tick()]
    for capacity in range(2_000_000, 145_000, -10_000):
        watching.line.capacity_bps = watching.line.estimate_bps = capacity
        if watching.tick() != seen[-1]:
            seen.append(watching.current)
    assert seen == [
        *(VersionKey(rid, level) for rid in ("high", "mid", "low") for level in (None, 1, 0)),
    ]


def test_a_line_that_carries_not_even_the_smallest_version_gets_no_video() -> None:
    assert Watching(Line(90_000)).tick() is None


def test_redundant_audio_counts_in_what_fits_and_is_held_by_the_room_of_a_raise() -> None:
    plain, redundant = Watching(Line(3_000_000)), Watching(Line(3_000_000))
    redundant.redundant_bps = 200_000
    assert plain.run(5) == redundant.run(5)
    for watching in (plain, redundant):
        watching.line.capacity_bps = watching.line.estimate_bps = 950_000
    assert plain.tick() == VersionKey("high", 0)
    assert redundant.tick() == VersionKey("mid")


def test_a_fall_is_followed_in_one_step() -> None:
    watching = Watching(Line(3_000_000))
    watching.run(5)
    watching.line.capacity_bps = watching.line.estimate_bps = 800_000
    assert watching.tick() == VersionKey("mid")


def test_a_deep_fall_goes_to_a_layer_whose_keyframe_is_small_and_then_up() -> None:
    watching = Watching(Line(3_000_000))
    watching.run(5)
    watching.line.capacity_bps = watching.line.estimate_bps = 600_000
    assert watching.tick() == VersionKey("low")
    assert watching.run(3) == VersionKey("mid", 0)


def test_a_deep_fall_with_one_small_layer_takes_what_fits() -> None:
    watching = Watching(Line(3_000_000), versions({"mid": 700_000, "high": 2_500_000}))
    watching.run(5)
    watching.line.capacity_bps = watching.line.estimate_bps = 600_000
    assert watching.tick() == VersionKey("mid", 1)


def test_a_viewer_is_back_at_the_top_when_its_line_is() -> None:
    watching = Watching(Line(3_000_000))
    watching.run(5)
    for capacity in (600_000, 3_000_000):
        watching.line.capacity_bps = watching.line.estimate_bps = capacity
        watching.run(5)
    assert watching.current == VersionKey("high")


def test_a_raise_that_fails_is_repeated_less_and_less() -> None:
    """The probes say that more fits than does."""
    line = Line(1_000_000)
    watching = Watching(line)
    falls = 0
    for _ in range(4 * 600):
        line.capacity_bps, line.estimate_bps = 3_000_000, 3_000_000 if watching.sent_bps < 900_000 else 800_000
        before = watching.sent_bps
        watching.tick()
        falls += watching.sent_bps < before
    # 600 s: at 2, 4, 8, 16, 32 and then 60 s from each other.
    assert falls <= 6 + 600 / MAX_BACK_OFF_SECONDS


def test_probing_is_asked_for_the_next_whole_layer() -> None:
    watching = Watching(Line(350_000))
    watching.run(3)
    assert watching.current == VersionKey("low")
    watching.line.asked.clear()
    watching.run(2)
    assert set(watching.line.asked) == {round(RATES["mid"] * RAISE_FACTOR) + AUDIO_BPS}


def test_a_version_that_is_no_longer_sent_is_replaced_by_the_best_that_fits() -> None:
    watching = Watching(Line(3_000_000))
    watching.run(2)
    watching.offered = versions({"low": 200_000, "mid": 700_000})
    assert watching.tick() == VersionKey("mid")


def test_few_frames_of_a_large_picture_are_worse_than_a_small_one() -> None:
    slow = [Version(VersionKey("high", 0), 500_000, 500_000, SIZES["high"], MIN_FRAMES_PER_SECOND - 1)]
    small = [Version(VersionKey("low", 0), 90_000, 90_000, SIZES["low"], 5.0)]
    assert [each.key.encoding_id for each in ladder(slow + small)] == ["low"]
    assert len(ladder(slow)) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(60_000, 4_000_000), st.integers(1, 24)), min_size=1, max_size=12),
    st.fixed_dictionaries({rid: st.integers(50_000, 2_500_000) for rid in RATES}),
)
def test_what_is_sent_fits_the_line_and_the_best_that_fits_comes(
    capacities: list[tuple[int, int]], rates: dict[str, int]
) -> None:
    watching = Watching(Line(4_000_000), versions(rates))
    for capacity, ticks in capacities:
        watching.line.capacity_bps = watching.line.estimate_bps = capacity
        for _ in range(ticks):
            watching.tick()
            assert watching.sent_bps <= max(0, capacity - AUDIO_BPS) * KEEP_FACTOR
    # Given time, nothing better fits with room to spare.
    watching.run(3 * MAX_BACK_OFF_SECONDS)
    settled = watching.current
    keys = [each.key for each in watching.offered]
    above = watching.offered[keys.index(settled) + 1 :] if settled is not None else watching.offered
    fits_bps = watching.line.capacity_bps - AUDIO_BPS
    most_bps = min(fits_bps, MAX_STEP * watching.sent_bps) if watching.sent_bps else fits_bps
    assert all(each.bitrate_bps * RAISE_FACTOR > most_bps - 1 for each in above)
    changes = len(watching.history)
    watching.run(60)
    assert len(watching.history) == changes


def test_a_better_version_has_to_fit_when_its_encoder_has_not_stalled() -> None:
    watching = Watching(Line(600_000))
    watching.run(3)
    stalled = [each._replace(bitrate_bps=each.bitrate_bps // 4) for each in versions()]
    watching.offered = tuple(stalled)
    before = watching.current
    watching.run(5)
    assert watching.current == before


def test_a_line_that_is_not_full_keeps_the_smallest_version_whatever_its_estimate_is() -> None:
    watching = Watching(Line(200_000))
    watching.run(5)
    smallest = watching.current
    assert smallest is not None
    watching.line.capacity_bps = watching.line.estimate_bps = 90_000
    watching.line.is_full = False
    while watching.tick() != watching.current:
        pass
    assert watching.run(3) is not None
    watching.line.is_full = True
    assert watching.tick() is None
