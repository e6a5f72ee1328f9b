"""A program that supervises one ingest process: `python -m tests.media.worker.stopped_server [SERVER TIMEOUT]`.

It prints the process id of the ingest process, then waits.
"""

import asyncio
import socket
import sys

import uvloop

from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.worker.worker_timeouts import WorkerTimeouts


async def _run(server_timeout_seconds: float | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rtmp:
        timeouts = WorkerTimeouts(server_timeout_seconds=server_timeout_seconds)
        pool = IngestPool(IngestSettings(), processes=1, rtmp=rtmp, rtmps=None, timeouts=timeouts)
        await pool.start()
        print(pool.workers[0].process_id, flush=True)
        await asyncio.sleep(3_600)


if __name__ == "__main__":
    uvloop.run(_run(float(sys.argv[1]) if sys.argv[1:] else None))
