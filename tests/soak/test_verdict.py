"""The requirements of a soak test are met, and are not met, where they should be."""

import msgspec
import pytest

from tests.soak import verdict
from tests.soak.process_memory import MemorySample
from tests.soak.soak_job import LoadResult, Phase, SoakJob

MIB = 1 << 20
JOB = SoakJob(
    endpoint_url="",
    access_key_id="",
    secret_access_key="",
    region="",
    stage_arn="",
    publisher_token="",
    publisher_id="",
    rtmp_url="",
    stream_keys=(),
    quiet_from=10,
    attack_from=40,
    end_at=400,
)


@pytest.mark.parametrize(("now", "phase"), [(9, Phase.WARM_UP), (10, Phase.QUIET), (40, Phase.ATTACK)])
def test_a_time_belongs_to_a_phase(now: float, phase: Phase) -> None:
    assert JOB.phase_at(now) is phase


@pytest.mark.parametrize(("attack_seconds", "is_met"), [(0.02, True), (0.021, False)])
def test_the_p99_under_attack_may_be_twice_the_quiet_one(attack_seconds: float, *, is_met: bool) -> None:
    latencies = {Phase.QUIET: [0.01] * 1_000, Phase.ATTACK: [0.001] * 980 + [attack_seconds] * 20}
    assert verdict.judge_latency("read", latencies, JOB).is_met is is_met


@pytest.mark.parametrize(("count", "factor"), [(49, ""), (999, "100.00 ")])
def test_a_p99_of_few_latencies_is_not_judged(count: int, factor: str) -> None:
    found = verdict.judge_latency("read", {Phase.QUIET: [0.01] * count, Phase.ATTACK: [1.0] * count}, JOB)
    assert found.is_met
    assert found.text == f"| read | {count} | 10.0 | 10.0 | {count} | 1000.0 | 1000.0 | {factor}|"


@pytest.mark.parametrize(("operation", "end_at"), [("read", 339), ("lag of the clients", 400)])
def test_a_p99_of_a_short_run_or_of_the_load_itself_is_not_judged(operation: str, end_at: float) -> None:
    job = msgspec.structs.replace(JOB, end_at=end_at)
    latencies = {Phase.QUIET: [0.01] * 1_000, Phase.ATTACK: [1.0] * 1_000}
    assert verdict.judge_latency(operation, latencies, job).is_met


@pytest.mark.parametrize(("growth_bytes", "is_met"), [(24 * MIB, True), (25 * MIB, False)])
def test_a_process_may_not_grow_during_the_attack(growth_bytes: int, *, is_met: bool) -> None:
    samples = [
        MemorySample(time=time, process="server", resident_bytes=100 * MIB + (growth_bytes if time > 300 else 0))
        for time in range(10, 400)
    ]
    assert verdict.judge_memory("server", samples, JOB).is_met is is_met


def test_a_process_that_ended_is_a_failure() -> None:
    samples = [MemorySample(time=time, process="engine", resident_bytes=MIB) for time in range(10, 60)]
    assert not verdict.judge_memory("engine", samples, JOB).is_met


@pytest.mark.parametrize(("status", "is_met"), [("WHIP 201", True), ("WHIP 429", True), ("WHIP 503", False)])
def test_no_response_is_5xx(status: str, *, is_met: bool) -> None:
    result = LoadResult(latencies={}, statuses={status: 1}, outcomes={})
    assert verdict.judge_statuses([result]).is_met is is_met


def test_every_participant_that_joined_has_left() -> None:
    assert verdict.judge_book(2, []).is_met
    assert not verdict.judge_book(2, ["abc"]).is_met
    assert not verdict.judge_book(0, []).is_met


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", 'level=error event="the request failed"'])
def test_an_error_in_the_log_is_a_failure(line: str) -> None:
    assert not verdict.judge_log(["level=info event=started", line]).is_met
