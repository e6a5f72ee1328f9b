"""`python -m tests.soak [--minutes N]`: a soak test of a real server. The exit code is 0 if all requirements hold."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.e2e.server import RunningServer, run_server
from tests.soak import verdict
from tests.soak.open_participants import connected_count, participants_without_left
from tests.soak.process_memory import MemorySample, sample_memory
from tests.soak.soak_job import LoadResult, SoakJob
from tests.soak.soak_report import print_report
from tests.soak.verdict import Finding

ENCODERS = 2
WARM_UP_SHARE, QUIET_SHARE = 0.1, 0.3
LEAVE_SECONDS = 90.0
_SETTINGS = {"session_linger_seconds": "60", "media_bind": "127.0.0.1"}


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
    return print_report(job, honest, attackers, samples, findings)


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
    async with asyncio.TaskGroup() as loads:
        honest, attackers = (loads.create_task(_load(kind, job)) for kind in ("honest", "attackers"))
    sampling.cancel()
    return honest.result(), attackers.result(), samples


async def _load(kind: str, job: SoakJob) -> LoadResult:
    # Attackers have less priority, or they would take the processor from the clients that are measured.
    command = ["nice", "-n", "19"] if kind == "attackers" else []
    process = await asyncio.create_subprocess_exec(
        *(*command, sys.executable, "-m", "tests.soak.load_process", kind),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate(msgspec.json.encode(job))
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"the process of the {kind} clients ended with {process.returncode}")
    return msgspec.json.decode(output, type=LoadResult)


def wait_until_empty(server: RunningServer, job: SoakJob) -> None:
    """Wait until nobody is connected. Peers that vanished are noticed after some seconds."""
    ivs, deadline = server.client(), time.monotonic() + LEAVE_SECONDS
    while connected_count(ivs, job.stage_arn) and time.monotonic() < deadline:
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
