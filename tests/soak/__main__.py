"""`python -m tests.soak [--minutes N]`: a soak test of a real server. The exit code is 0 if all requirements hold."""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.e2e.server import RunningServer, run_server
from tests.soak import verdict
from tests.soak.open_participants import connected_count, participants_without_left
from tests.soak.process_memory import MemorySample, sample_memory
from tests.soak.soak_job import LoadResult, Phase, SoakJob
from tests.soak.verdict import OWN_LAG, Finding

ENCODERS = 2
WARM_UP_SHARE, QUIET_SHARE = 0.1, 0.3
LEAVE_SECONDS = 90.0
_SETTINGS = {"session_linger_seconds": "60", "media_bind": "127.0.0.1"}
_LATENCY_HEADER = """| operation | quiet | p50 ms | p99 ms | attack | p50 ms | p99 ms | factor |
|---|---|---|---|---|---|---|---|"""
_SERIES_HEADER = "\n".join(
    [
        "| MiB over time, from the quiet phase to the end |" + " |" * verdict.SERIES_POINTS,
        "|---|" + "---|" * verdict.SERIES_POINTS,
    ]
)
_MEMORY_HEADER = "| process | quiet MiB | early attack | late attack | peak |\n|---|---|---|---|---|"


def main() -> int:
    """Run the server, the honest clients and the attackers, and print the report."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="length of the test")
    minutes: float = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder, run_server(Path(folder) / "data", config=None, **_SETTINGS) as server:
        job = make_job(server, seconds=60 * minutes)
        honest, attackers, samples = asyncio.run(run_load(server, job))
        wait_until_empty(server, job)
        joined_count, without_left = participants_without_left(server.client(), job.stage_arn)
        exit_code = server.stop()
        findings = [
            verdict.judge_statuses([honest, attackers]),
            verdict.judge_failures(honest),
            verdict.judge_book(joined_count, without_left),
            verdict.judge_log(server.log.splitlines()),
            Finding(text=f"exit code of the server: {exit_code}", is_met=exit_code == 0),
        ]
    return report(job, honest, attackers, samples, findings)


def make_job(server: RunningServer, *, seconds: float) -> SoakJob:
    """Create the stage, the publisher's token and the stream keys, and set the times of the phases."""
    ivs = server.client()
    stage = ivs.create_stage(name="soak")["stage"]
    created = ivs.create_participant_token(stageArn=stage["arn"], capabilities=["PUBLISH"])["participantToken"]
    keys = [
        ivs.create_ingest_configuration(stageArn=stage["arn"], ingestProtocol="RTMP", insecureIngest=True)
        for _ in range(ENCODERS)
    ]
    started_at = time.monotonic()
    return SoakJob(
        endpoint_url=server.endpoint_url,
        access_key_id=server.key.access_key_id,
        secret_access_key=server.key.secret_access_key,
        region="us-west-2",
        stage_arn=stage["arn"],
        publisher_token=created["token"],
        publisher_id=created["participantId"],
        rtmp_url=ivs.get_stage(arn=stage["arn"])["stage"]["endpoints"]["rtmp"],
        stream_keys=tuple(key["ingestConfiguration"]["streamKey"] for key in keys),
        quiet_from=started_at + WARM_UP_SHARE * seconds,
        attack_from=started_at + (WARM_UP_SHARE + QUIET_SHARE) * seconds,
        end_at=started_at + seconds,
    )


async def run_load(server: RunningServer, job: SoakJob) -> tuple[LoadResult, LoadResult, list[MemorySample]]:
    """Run the processes that make load, and sample the memory of the server's processes meanwhile."""
    samples: list[MemorySample] = []
    sampling = asyncio.create_task(sample_memory(server.process.pid, samples))
    honest, attackers = await asyncio.gather(_load("honest", job), _load("attackers", job))
    sampling.cancel()
    return honest, attackers, samples


async def _load(kind: str, job: SoakJob) -> LoadResult:
    # Attackers have less priority, or they would take the processor from the clients that are measured.
    command = ["nice", "-n", "5"] if kind == "attackers" else []
    process = await asyncio.create_subprocess_exec(
        *(*command, sys.executable, "-m", "tests.soak.load_process", kind),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(msgspec.json.encode(job))
    if process.returncode != 0:
        raise RuntimeError(f"the process of the {kind} clients ended with {process.returncode}")
    return msgspec.json.decode(output, type=LoadResult)


def wait_until_empty(server: RunningServer, job: SoakJob) -> None:
    """Wait until nobody is connected. Peers that vanished are noticed after some seconds."""
    ivs, deadline = server.client(), time.monotonic() + LEAVE_SECONDS
    while connected_count(ivs, job.stage_arn) and time.monotonic() < deadline:
        time.sleep(1)


def report(
    job: SoakJob,
    honest: LoadResult,
    attackers: LoadResult,
    samples: Sequence[MemorySample],
    findings: list[Finding],
) -> int:
    """Print the tables and what is not met; return the exit code."""
    latencies = [
        verdict.judge_latency(name, found, job)
        for name, found in sorted(honest.latencies.items())
        if found.keys() & {Phase.QUIET, Phase.ATTACK}
    ]
    lag = [
        f"{verdict.show_latency(name, found)} |"
        for name, found in attackers.latencies.items()
        if name.startswith(OWN_LAG)
    ]
    by_process = {
        process: list(found)
        for process, found in itertools.groupby(
            sorted(samples, key=lambda sample: sample.process), lambda sample: sample.process
        )
    }
    memory = [verdict.judge_memory(process, found, job) for process, found in by_process.items()]
    series = [verdict.show_memory(process, found, job) for process, found in by_process.items()]
    print("\nAttacks:", *(f"  {name}: {count:,}" for name, count in sorted(attackers.outcomes.items())), sep="\n")
    statuses = sorted((honest.statuses | attackers.statuses).items())
    print("\nResponses:", *(f"  {name}: {count:,}" for name, count in statuses), sep="\n")
    print(f"\n{_LATENCY_HEADER}", *(finding.text for finding in latencies), *lag, sep="\n")
    print(f"\n{_MEMORY_HEADER}", *(finding.text for finding in memory), sep="\n")
    print(f"\n{_SERIES_HEADER}", *series, sep="\n", end="\n\n")
    print(*(finding.text for finding in findings), sep="\n")
    unmet = [finding.text for finding in (*latencies, *memory, *findings) if not finding.is_met]
    print("\nAll requirements are met." if not unmet else "\nNot met:\n" + "\n".join(unmet))
    return 1 if unmet else 0


if __name__ == "__main__":
    sys.exit(main())
