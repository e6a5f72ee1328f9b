"""The description of the machine, and the CPU clock of processes."""

import os
import subprocess
import sys
import time

import pytest

from bench.machine import cpu_model, cpu_seconds, cpu_times, describe_build


def test_the_name_of_the_processor_is_that_of_the_kernel() -> None:
    assert cpu_model("processor\t: 0\nvendor_id\t: X\nmodel name\t: Fast CPU @ 2 GHz\n") == "Fast CPU @ 2 GHz"


def test_a_processor_without_a_name_is_described_by_its_architecture() -> None:
    assert cpu_model("processor\t: 0\n") == os.uname().machine


def test_an_unoptimised_interpreter_is_described_as_such() -> None:
    assert describe_build("'--enable-shared' '--enable-optimizations'") == "an optimised build"
    assert "without" in describe_build("'--enable-shared'")


def test_cpu_time_is_that_of_the_whole_process() -> None:
    before, own = cpu_seconds(os.getpid()), time.process_time()
    after = cpu_seconds(os.getpid())
    assert before <= own <= after


def test_cpu_time_of_another_process_can_be_read_while_it_runs() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert cpu_seconds(process.pid) >= 0
        process.communicate(b"\n")
    with pytest.raises(OSError, match=r"."):
        cpu_seconds(process.pid)


def test_user_and_system_time_are_apart() -> None:
    before = cpu_times(os.getpid())
    sum(range(30_000_000))
    after = cpu_times(os.getpid())
    assert after.user - before.user > after.system - before.system >= 0.0
