"""A recording in a folder, played to its end by headless Chromium with hls.js."""

import asyncio
import shutil
import time
from pathlib import Path

import msgspec
from playwright.async_api import Browser

from tests.e2e.browser.page_server import serve_pages
from tests.e2e.recording.hls_js import install_hls_js

_DEADLINE_SECONDS = 60.0


class PlayedRecording(msgspec.Struct, frozen=True, kw_only=True):
    """What the player saw. `time` and `duration` are in seconds."""

    ended: bool
    errors: list[str]
    sizes: list[str]
    time: float
    duration: float
    frames: int
    audio_bytes: int


async def play_recording(browser: Browser, recording: Path, folder: Path) -> PlayedRecording:
    """Play `media/hls/multivariant.m3u8` below `recording`. `folder` is an empty folder for the page.

    Raises HlsJsUnavailableError. Returns at the end of the recording, at the first error, or at the deadline.
    """
    install_hls_js(folder)
    shutil.copy(Path(__file__).parent / "pages" / "player.html", folder)
    with serve_pages(player=folder, recording=recording) as url:
        page = await browser.new_page()
        try:
            await page.goto(f"{url}/player/player.html#/recording/media/hls/multivariant.m3u8")
            deadline_seconds = time.monotonic() + _DEADLINE_SECONDS
            while True:
                state = await page.evaluate("() => window.state()")
                if state["ended"] or state["errors"] or time.monotonic() > deadline_seconds:
                    return PlayedRecording(
                        ended=state["ended"],
                        errors=state["errors"],
                        sizes=state["sizes"],
                        time=state["time"],
                        duration=state["duration"] or 0.0,
                        frames=state["frames"],
                        audio_bytes=state["audioBytes"],
                    )
                await asyncio.sleep(0.1)
        finally:
            await page.close()
