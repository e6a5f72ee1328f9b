"""Encoders that publish for some seconds, end, and come back: ffmpeg processes."""

import asyncio
import shutil
import time

from tests.e2e.ingest.commands import AAC, PUBLISH
from tests.soak.soak_job import Recorder, SoakJob

STREAM_SECONDS = 15
_PAUSE_SECONDS = 2.0
_VARIABLES = {
    "INPUT": "-hide_banner -loglevel error -re -f lavfi -i testsrc2=size=320x180:rate=15 "
    "-f lavfi -i sine=frequency=440:sample_rate=48000",
    "H264": f"-c:v libx264 -preset ultrafast -tune zerolatency -g 15 -threads 1 -t {STREAM_SECONDS}",
    "AAC": AAC,
}


async def keep_publishing(job: SoakJob, recorder: Recorder, stream_key: str) -> None:
    """Publish again and again until the end of the test. A stream that fails or ends early is counted."""
    if shutil.which("ffmpeg") is None:
        recorder.outcomes["encoder: ffmpeg is not installed"] += 1
        return
    variables = {**_VARIABLES, "URL": job.rtmp_url, "KEY": stream_key}
    while time.monotonic() + STREAM_SECONDS < job.end_at:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f"exec {PUBLISH}"),
            env=variables | {"PATH": "/usr/local/bin:/usr/bin:/bin"},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
        recorder.statuses[f"ffmpeg exit code {process.returncode}"] += 1
        if process.returncode != 0:
            recorder.outcomes[f"encoder: {errors.decode(errors='replace').strip()[-150:]}"] += 1
        await asyncio.sleep(_PAUSE_SECONDS)
