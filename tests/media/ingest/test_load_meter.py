"""When a process counts as overloaded: by CPU time and by late readings, in a time of the test's own."""

import pytest

from stagebook.media.ingest.load_meter import INTERVAL_SECONDS, MAX_LATE_READINGS, WINDOW_READINGS, LoadMeter


class MeteredProcess:
    """A process with a clock and a CPU time."""

    def __init__(self) -> None:
        self.now = self.cpu_seconds = 100.0
        self.meter = LoadMeter(clock=lambda: self.now, cpu_clock=lambda: self.cpu_seconds)

    def is_overloaded(self) -> bool:
        return self.meter.is_overloaded

    def run(self, readings: int, *, cpu_share: float = 0.0, late_seconds: float = 0.0) -> None:
        """Let time pass, with readings at regular intervals that are `late_seconds` late."""
        for _ in range(readings):
            seconds = INTERVAL_SECONDS + late_seconds
            self.now += seconds
            self.cpu_seconds += seconds * cpu_share
            self.meter.read()


def test_a_process_without_load_is_not_overloaded() -> None:
    process = MeteredProcess()
    process.run(3 * WINDOW_READINGS, cpu_share=0.7, late_seconds=0.1)
    assert not process.is_overloaded()
    assert process.meter.cpu_share == pytest.approx(0.7)
    assert process.meter.late_readings == 0


def test_a_whole_window_of_cpu_time_is_overload_and_ends_with_it() -> None:
    process = MeteredProcess()
    process.run(WINDOW_READINGS - 1, cpu_share=1.0)
    assert not process.is_overloaded(), "libraries are loaded for the first stream"
    process.run(1, cpu_share=1.0)
    assert process.is_overloaded()
    process.run(WINDOW_READINGS // 2, cpu_share=0.2)
    assert not process.is_overloaded()


def test_late_readings_are_overload_without_cpu_time() -> None:
    process = MeteredProcess()
    process.run(MAX_LATE_READINGS - 1, late_seconds=INTERVAL_SECONDS)
    assert not process.is_overloaded()
    process.run(1, late_seconds=INTERVAL_SECONDS)
    assert process.is_overloaded()
    process.run(WINDOW_READINGS + 1)
    assert not process.is_overloaded()


def test_one_long_stop_of_the_process_is_not_overload() -> None:
    process = MeteredProcess()
    process.run(WINDOW_READINGS)
    process.run(1, late_seconds=3_600)
    assert not process.is_overloaded()
    assert process.meter.late_readings == 1
