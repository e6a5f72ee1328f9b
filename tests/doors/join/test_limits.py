"""The meters that hold rates."""

from stagebook.doors.join.limits import AttemptMeters, JoinLimits, Meter


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_meter_allows_its_burst_then_its_rate() -> None:
    clock = Clock()
    meter = Meter(burst=3, per_second=2.0, monotonic=clock)
    assert [meter.take() for _ in range(4)] == [True, True, True, False]
    clock.seconds += 0.5
    assert [meter.take(), meter.take()] == [True, False]


def test_rest_does_not_save_up_more_than_the_burst() -> None:
    clock = Clock()
    meter = Meter(burst=2, per_second=100.0, monotonic=clock)
    clock.seconds += 3_600
    assert [meter.take() for _ in range(3)] == [True, True, False]


def test_participants_are_metered_apart() -> None:
    meters = AttemptMeters(limits=JoinLimits(attempts_burst=1), monotonic=Clock())
    takes = [
        meters.take(stage_arn=stage, participant_id=participant)
        for stage, participant in [("s1", "p"), ("s1", "p"), ("s1", "q"), ("s2", "p")]
    ]
    assert takes == [True, False, True, True]


def test_the_number_of_meters_is_bounded_and_the_longest_unused_goes_first() -> None:
    meters = AttemptMeters(limits=JoinLimits(attempts_burst=1, metered_participants=2), monotonic=Clock())
    assert meters.take(stage_arn="s", participant_id="a")
    assert meters.take(stage_arn="s", participant_id="b")
    assert not meters.take(stage_arn="s", participant_id="a")
    assert meters.take(stage_arn="s", participant_id="c")
    assert not meters.take(stage_arn="s", participant_id="a")
    assert meters.take(stage_arn="s", participant_id="b")
