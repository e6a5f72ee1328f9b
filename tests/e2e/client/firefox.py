"""An installed Firefox, headless, with a fake camera and a fake microphone, controlled by WebDriver BiDi."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.e2e.client.bidi_connection import BidiConnection, bidi_session

NAMES = ("firefox", "firefox-esr")
START_TIMEOUT_SECONDS = 60
LISTENING = "WebDriver BiDi listening on "
PREFERENCES = {
    "media.navigator.streams.fake": "true",
    "media.navigator.permission.disabled": "true",
    "media.autoplay.default": "0",
    "media.peerconnection.ice.loopback": "true",  # for a machine without a network
    "media.peerconnection.ice.obfuscate_host_addresses": "false",
    "app.update.enabled": "false",
    "browser.aboutwelcome.enabled": "false",
    "browser.shell.checkDefaultBrowser": "false",
    "datareporting.policy.dataSubmissionEnabled": "false",
    "media.gmp-manager.updateEnabled": "false",
    # As `new_context` does for Chromium: pages do not change with the machine's load.
    "ui.prefersReducedMotion": "1",
    "media.peerconnection.video.min_bitrate_estimate": "2500",  # kbit/s
    "media.peerconnection.video.lock_scaling": "true",
}


def find_firefox() -> str | None:
    """Return the path of an installed Firefox; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextlib.asynccontextmanager
async def running_firefox(path: str) -> AsyncIterator[BidiConnection]:
    """Run a browser with a new profile."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        _write_preferences(Path(profile))
        process = await asyncio.create_subprocess_exec(
            *(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                address = await _address(process)
            reading = asyncio.create_task(_read_on(process))
            async with bidi_session(address) as connection:
                yield connection
        finally:
            process.terminate()
            await process.wait()
        await reading


def _write_preferences(profile: Path) -> None:
    lines = [f'user_pref("{name}", {value});\n' for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if line.decode().startswith(LISTENING):
            return line.decode().removeprefix(LISTENING).strip()
    raise AssertionError("Firefox ended without listening")


async def _read_on(process: asyncio.subprocess.Process) -> None:
    """Read what the browser prints, or it would wait when the pipe is full."""
    assert process.stderr is not None
    async for _ in process.stderr:
        pass
