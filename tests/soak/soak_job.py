"""What the processes of a soak test share: the server, the stage, the phases, and the form of their results.

    warm-up    honest clients start; nothing is counted
    quiet      honest clients alone: the reference
    attack     the same honest clients, and all attackers

Times are those of `time.monotonic`, which is the same clock in all processes of a Linux machine.
"""

import asyncio
import time
from collections import Counter
from enum import StrEnum
from typing import Any

import boto3
import msgspec
from botocore.config import Config

HONEST_HOST, ATTACKER_HOST = "127.0.0.1", "127.0.0.2"
"""The addresses of the clients. Some limits are per address, and attackers must not use up those of honest clients."""


class Phase(StrEnum):
    """A phase of the test, by which latencies are kept apart."""

    WARM_UP = "warm-up"
    QUIET = "quiet"
    ATTACK = "attack"


class SoakJob(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a process that makes load."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    region: str
    stage_arn: str
    publisher_token: str
    publisher_id: str
    rtmp_url: str
    stream_keys: tuple[str, ...]
    quiet_from: float
    attack_from: float
    end_at: float

    def phase_at(self, now: float) -> Phase:
        """Return the phase of a time."""
        if now < self.quiet_from:
            return Phase.WARM_UP
        return Phase.QUIET if now < self.attack_from else Phase.ATTACK

    @property
    def is_over(self) -> bool:
        """Whether clients must leave."""
        return time.monotonic() >= self.end_at

    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client that does not retry, so that each refusal is seen."""
        return boto3.client(
            "ivs-realtime",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32),
        )


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """The output of a process that made load.

    `latencies` are seconds by operation and phase. `outcomes` counts what else happened, by a text.
    """

    latencies: dict[str, dict[Phase, list[float]]]
    statuses: dict[str, int]
    outcomes: dict[str, int]


class Recorder:
    """Collects what happens in one process."""

    def __init__(self, job: SoakJob) -> None:
        self._job = job
        self._latencies: dict[str, dict[Phase, list[float]]] = {}
        self.statuses: Counter[str] = Counter()
        """Responses by "<operation> <status>"."""
        self.outcomes: Counter[str] = Counter()
        """Of honest clients: failures. Of attackers: what they did and how it ended."""

    def took(self, operation: str, seconds: float, *, started_at: float) -> None:
        """Count the latency of an operation in the phase in which it started."""
        phase = self._job.phase_at(started_at)
        self._latencies.setdefault(operation, {}).setdefault(phase, []).append(seconds)

    def took_since(self, operation: str, started_at: float) -> None:
        """Count an operation that has just ended."""
        self.took(operation, time.monotonic() - started_at, started_at=started_at)

    def result(self) -> LoadResult:
        """Return what was collected."""
        return LoadResult(latencies=self._latencies, statuses=dict(self.statuses), outcomes=dict(self.outcomes))


_LAG_INTERVAL_SECONDS = 0.05


async def watch_lag(recorder: Recorder, operation: str) -> None:
    """Count how late the event loop of this process is, until the task is cancelled.

    What its clients measure is at least that: it is the part of a latency that the server has not caused.
    """
    while True:
        started_at = time.monotonic()
        await asyncio.sleep(_LAG_INTERVAL_SECONDS)
        late_seconds = time.monotonic() - started_at - _LAG_INTERVAL_SECONDS
        recorder.took(operation, max(0.0, late_seconds), started_at=started_at)
