"""The part `timeline`: the console shows the timeline of a large session in a real browser."""

import asyncio
from pathlib import Path

import msgspec
import uvloop
from playwright.async_api import Browser, Page

from bench.report import Part, Table, Target, number
from bench.timeline.large_session import SESSION, build_session
from stagebook.data_folder.secrets import DataFolder
from tests.e2e.browser.chromium import find_chromium, running_chromium
from tests.e2e.server import RunningServer, run_unchecked_server
from tests.e2e.watch.bearer import create_key

PARTICIPANTS = 1_000
EVENTS = 100_000
TARGET_FRAME_MS = 50.0
_TIMEOUT_MS = 120_000
_STEPS = 40
_STEP_MS = 16

_OBSERVE = """() => {
    window.longTasks = [];
    window.frames_ms = [];
    new PerformanceObserver(list => window.longTasks.push(...list.getEntries().map(entry => entry.duration)))
        .observe({ type: "longtask" });
    let last = performance.now();
    const note = () => {
        const now = performance.now();
        window.frames_ms.push(now - last);
        last = now;
        requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
}"""
_TAKE = """() => {
    const taken = { frames: window.frames_ms, tasks: window.longTasks };
    window.frames_ms = [];
    window.longTasks = [];
    return taken;
}"""
_IS_LOADED = """count => document.querySelector(".timeline header [role=status]")?.textContent
    .endsWith(`${count.toLocaleString("en")} events`)"""


class Frames(msgspec.Struct, frozen=True, kw_only=True):
    """The times between frames in milliseconds, and the main thread's tasks of more than 50 ms."""

    frames: list[float]
    tasks: list[float]


def measure_timeline(folder: Path) -> Part:
    """Build the session, show it, and return the report."""
    data = DataFolder(folder / "timeline")
    data.prepare()
    events = uvloop.run(build_session(data.book_path, participants=PARTICIPANTS, events=EVENTS))
    with run_unchecked_server(data.path, media_processes="1") as server:
        phases = asyncio.run(_show(server, events))
    worst = max(max(phase.frames) for phase in phases.values())
    return Part(
        title="The timeline of a large session in the console",
        method=(
            f"Chromium, headless and without a GPU, shows a session of {PARTICIPANTS:,} participants and {events:,} "
            "events. A frame is the time between two animation frames. While the session loads, the page fetches and "
            "decodes all events; then a script scrolls, zooms, drags and searches. A long task keeps the page's thread "
            "busy for more than 50 ms."
        ),
        tables=(
            Table(
                headings=("phase", "frames", "longest frame ms", "long tasks"),
                rows=tuple(_row(name, phase) for name, phase in phases.items()),
            ),
        ),
        targets=(Target(what="longest frame of the timeline", measured=worst, at_most=TARGET_FRAME_MS, unit="ms"),),
    )


def _row(name: str, phase: Frames) -> tuple[str, ...]:
    return (name, number(len(phase.frames)), number(max(phase.frames)), number(len(phase.tasks)))


async def _show(server: RunningServer, events: int) -> dict[str, Frames]:
    path = find_chromium()
    assert path is not None, "there is no Chromium on the path"
    async with running_chromium(path) as browser:
        page = await _sign_in(browser, server)
        await page.evaluate(_OBSERVE)
        await page.evaluate(f"location.hash = '#/sessions/{SESSION['session_id']}'")
        await page.wait_for_function(_IS_LOADED, arg=events, timeout=_TIMEOUT_MS)
        phases = {"loading": await _take(page)}
        for name, act in {"scrolling": _scroll, "zooming": _zoom, "dragging": _drag, "searching": _search}.items():
            await act(page)
            phases[name] = await _take(page)
        return phases


async def _sign_in(browser: Browser, server: RunningServer) -> Page:
    page = await browser.new_page()
    await page.goto(f"{server.endpoint_url}/console/")
    await page.get_by_label("Key").fill(create_key(server, "reader"))
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", level=1, name="Overview").wait_for()
    return page


async def _take(page: Page) -> Frames:
    return msgspec.convert(await page.evaluate(_TAKE), Frames)


async def _scroll(page: Page) -> None:
    await _point(page)
    for _ in range(_STEPS):
        await page.mouse.wheel(0, 900)
        await page.wait_for_timeout(_STEP_MS)


async def _zoom(page: Page) -> None:
    await _point(page)
    await page.keyboard.down("Control")
    for step in range(_STEPS):
        await page.mouse.wheel(0, -150 if step < _STEPS * 3 // 4 else 150)
        await page.wait_for_timeout(_STEP_MS)
    await page.keyboard.up("Control")


async def _drag(page: Page) -> None:
    x, y = await _point(page)
    await page.mouse.down()
    for step in range(_STEPS):
        await page.mouse.move(x - 8 * step, y)
        await page.wait_for_timeout(_STEP_MS)
    await page.mouse.up()


async def _search(page: Page) -> None:
    box = page.get_by_label("Find a participant")
    await box.press_sequentially("user-77", delay=_STEP_MS)
    await box.fill("")
    await page.wait_for_timeout(_STEP_MS * 10)


async def _point(page: Page) -> tuple[float, float]:
    """Move the pointer to the middle of the timeline; return its position in pixels."""
    canvas = page.locator(".timeline canvas")
    await canvas.scroll_into_view_if_needed()
    box = await canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    return x, y
