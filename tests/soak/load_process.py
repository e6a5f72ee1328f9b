"""A process that makes load: `python -m tests.soak.load_process honest|attackers < job > result`."""

import asyncio
import sys
import time

import msgspec

from tests.soak.attackers.attacker_load import run_attackers
from tests.soak.honest.honest_load import run_honest_load
from tests.soak.soak_job import LoadResult, SoakJob


async def run(kind: str, job: SoakJob) -> LoadResult:
    """Run the honest clients, or, from the attack phase on, the attackers."""
    if kind == "honest":
        return await run_honest_load(job)
    await asyncio.sleep(max(0.0, job.attack_from - time.monotonic()))
    return await run_attackers(job)


if __name__ == "__main__":
    received = msgspec.json.decode(sys.stdin.buffer.read(), type=SoakJob)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(run(sys.argv[1], received))))
