"""The clock of a program: an exact rate, and what a machine that is too slow leaves out."""

from fractions import Fraction

from stagebook.media.composition.program.output_clock import MAX_LATE_FRAMES, MAX_REPEATS, FrameStep, OutputClock


def test_frames_are_due_at_an_exact_rate() -> None:
    clock = OutputClock(Fraction(30_000, 1_001))
    for number in range(30_000):
        assert clock.step(clock.due_seconds()) == FrameStep(number=number, repeats=False)
    assert clock.due_seconds() == 1_001


def test_a_late_frame_repeats_the_picture() -> None:
    clock = OutputClock(Fraction(10))
    clock.step(0.0)
    assert clock.step(0.25) == FrameStep(number=1, repeats=True)
    assert clock.step(0.26) == FrameStep(number=2, repeats=False)
    assert (clock.repeated_frames, clock.omitted_frames) == (1, 0)


def test_a_machine_that_stays_late_draws_again_and_again() -> None:
    clock = OutputClock(Fraction(10))
    clock.step(0.0)
    repeats = [clock.step(0.11 + number / 10 + 0.15).repeats for number in range(2 * (MAX_REPEATS + 1))]
    assert repeats == 2 * [*[True] * MAX_REPEATS, False]


def test_frames_that_are_too_late_are_left_out() -> None:
    clock = OutputClock(Fraction(10))
    clock.step(0.0)
    late = (MAX_LATE_FRAMES + 2) / 10 + 0.01
    assert clock.step(late).number == MAX_LATE_FRAMES + 2
    assert clock.omitted_frames == MAX_LATE_FRAMES + 1
    assert clock.due_seconds() == (MAX_LATE_FRAMES + 3) / 10


def test_the_sound_before_a_frame_is_exact() -> None:
    clock = OutputClock(Fraction(30_000, 1_001))
    assert clock.due_samples(30_000, samples_per_second=48_000) == 1_001 * 48_000
