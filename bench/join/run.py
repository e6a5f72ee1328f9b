"""The part `join`: a browser subscribes to a publisher again and again, until it shows the first frame."""

import asyncio
from pathlib import Path

import msgspec

from bench.figures import percentile
from bench.report import Part, Table, Target
from stagebook.data_folder.secrets import DataFolder
from tests.e2e.browser.chromium import find_chromium, running_chromium
from tests.e2e.browser.page_server import PAGES, serve_pages
from tests.e2e.browser.participants import BrowserViewer, Participants
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server

JOINS = 30
WARM_UP_JOINS = 2
"""Before the measured ones: the browser compiles the page's code, and the server its own."""
JOIN_INTERVAL_SECONDS = 1.25
"""From the start of a join to that of the next one. A publisher is asked for one keyframe a second in the long run."""
CAMERA = {"width": 640, "height": 360, "frameRate": 30}
TARGET_P50_MS = 200.0
TARGET_P95_MS = 400.0

_TITLE = "Joining: from the offer to the first frame"
_JOIN = """async () => {
    const started = performance.now();
    const passed = () => performance.now() - started;
    const video = document.getElementById("video");
    const shown = new Promise(done => video.requestVideoFrameCallback(() => done(passed())));
    const connected = new Promise(done => connection.peer.addEventListener("connectionstatechange", () => {
        if (connection.peer.connectionState === "connected") done(passed());
    }));
    await connection.open();
    const answered = passed();
    return { answered, connected: await connected, shown: await shown };
}"""


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """When the steps of one subscription were complete, in milliseconds since the page began to make its offer."""

    answered: float
    """The page has applied the answer."""
    connected: float
    """ICE and DTLS are complete."""
    shown: float
    """The first frame is shown (requestVideoFrameCallback)."""


def measure_join(folder: Path) -> Part:
    """Measure the part and return its report. Without Chromium the report says so."""
    path = find_chromium()
    if path is None:
        return Part(title=_TITLE, method="Chromium is not installed.", tables=(), targets=())
    data = DataFolder(folder / "join")
    data.prepare()
    with (
        serve_pages(pages=PAGES) as pages,
        run_server(data.path, media_processes="1", session_linger_seconds="60") as server,
    ):
        joins = asyncio.run(_measure(server, path, f"{pages}/pages/participant.html"))
    return report(joins)


async def _measure(server: RunningServer, chromium: str, address: str) -> list[Join]:
    stage = StageHandle(server)
    async with running_chromium(chromium) as publishing, running_chromium(chromium) as watching:
        publishers, viewers = Participants(publishing, address), Participants(watching, address)
        publisher_id, token = await stage.token("PUBLISH")
        publisher = await publishers.publisher(token)
        await publisher.publish(camera=CAMERA)
        joins = [await _join(stage, viewers, publisher_id) for _ in range(WARM_UP_JOINS + JOINS)]
        await publisher.close()
    return joins[WARM_UP_JOINS:]


async def _join(stage: StageHandle, viewers: Participants, publisher_id: str) -> Join:
    """Subscribe with a new page, leave, and wait for the time of the next one."""
    loop = asyncio.get_running_loop()
    next_at = loop.time() + JOIN_INTERVAL_SECONDS
    _, token = await stage.token("SUBSCRIBE")
    viewer: BrowserViewer = await viewers.viewer(token)
    await viewer.prepare(publisher_id)
    join = msgspec.convert(await viewer.run(_JOIN), Join)
    await viewer.close()
    await viewer.context.close()
    await asyncio.sleep(next_at - loop.time())
    return join


def report(joins: list[Join]) -> Part:
    """The report of these joins."""
    steps = {
        "answer applied": [each.answered for each in joins],
        "connected": [each.connected for each in joins],
        "first frame": [each.shown for each in joins],
    }
    shown = steps["first frame"]
    return Part(
        title=_TITLE,
        method=(
            f"Headless Chromium publishes {CAMERA['width']}x{CAMERA['height']} at {CAMERA['frameRate']} frames/s "
            f"(H.264). Another headless Chromium subscribes {len(joins)} times, each time with a new page and without "
            f"other viewers, {JOIN_INTERVAL_SECONDS} s apart, all on this machine. The time begins with the page's "
            "call that makes the offer, and ends when requestVideoFrameCallback reports the first frame."
        ),
        tables=(
            Table(
                headings=("since the offer", "p50 ms", "p95 ms", "worst ms"),
                rows=tuple(
                    (name, *(f"{value:.0f}" for value in (percentile(times, 50), percentile(times, 95), max(times))))
                    for name, times in steps.items()
                ),
            ),
        ),
        targets=(
            Target(
                what="join to the first frame, p50", measured=percentile(shown, 50), at_most=TARGET_P50_MS, unit="ms"
            ),
            Target(
                what="join to the first frame, p95", measured=percentile(shown, 95), at_most=TARGET_P95_MS, unit="ms"
            ),
        ),
    )
