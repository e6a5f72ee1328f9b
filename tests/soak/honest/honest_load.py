"""All honest clients of a soak test, in one process."""

import asyncio

import httpx

from tests.soak.honest.broadcast import publish, stay
from tests.soak.honest.encoder_loop import keep_publishing
from tests.soak.honest.page_reader import keep_reading
from tests.soak.honest.stage_visitor import ATTRIBUTES, create_token, keep_visiting, stay_idle
from tests.soak.soak_job import LoadResult, Recorder, SoakJob, watch_lag

VISITORS = 10
VIEWERS = 2
IDLE_PARTICIPANTS = 40


async def run_honest_load(job: SoakJob) -> LoadResult:
    """Run the clients until the end of the test, and return what they measured."""
    recorder, started = Recorder(job), asyncio.Event()
    limits = httpx.Limits(max_keepalive_connections=VISITORS)
    async with httpx.AsyncClient(limits=limits) as http, asyncio.TaskGroup() as publishing:
        publisher = publishing.create_task(publish(job, recorder, http, started))
        lag = publishing.create_task(watch_lag(recorder, "lag of the honest clients themselves"))
        await started.wait()
        await _run_others(job, recorder, http)
        # The publisher ends last, because viewers that get nothing have failed.
        publisher.cancel()
        lag.cancel()
    return recorder.result()


async def _run_others(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient) -> None:
    ivs = job.client()
    async with asyncio.TaskGroup() as clients:
        clients.create_task(asyncio.to_thread(keep_reading, job, recorder))
        for key in job.stream_keys:
            clients.create_task(keep_publishing(job, recorder, key))
        for _ in range(VIEWERS):
            clients.create_task(stay(job, recorder, http, await create_token(job, recorder, ivs)))
        for seed in range(VISITORS):
            clients.create_task(keep_visiting(job, recorder, http, ivs, seed=seed))
        for _ in range(IDLE_PARTICIPANTS):
            token = await create_token(job, recorder, ivs, attributes=ATTRIBUTES)
            clients.create_task(stay_idle(job, recorder, token))
