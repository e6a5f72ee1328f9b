"""LiveKit's own client for browsers, as npm has it: installed at run time, kept in a cache. And people who use it."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Final

import jwt
import pytest
from playwright.async_api import Browser, Page

from stagebook.media.livekit.livekit_access import LiveKitKey
from tests.e2e.browser.chromium import new_context

PACKAGE: Final = "livekit-client@2.23.0"
_INTEGRITY: Final = "sha512-j9Kg86nJjBjNFUD+ukp2jwMCGa0k+YD5gU//RzAM+ZY3pbG631QCte7fQjwqWMmtBzhDJL9nKYuOLMv/9IbAxg=="
_BUNDLE: Final = "package/dist/livekit-client.umd.js"
_CACHE: Final = Path(__file__).parents[3] / ".web-sdk"
_NPM_TIMEOUT_SECONDS: Final = 100
_SCRIPT: Final = """
const people = {};
async function join(name, url, token, publishes) {
  const room = new LivekitClient.Room();
  await room.connect(url, token);
  if (publishes) await room.localParticipant.setMicrophoneEnabled(true);
  people[name] = room;
}
const unpublish = async (name) => {
  const room = people[name];
  const published = [...room.localParticipant.trackPublications.values()];
  for (const one of published) await room.localParticipant.unpublishTrack(one.track);
};
const leave = (name) => people[name].disconnect();
"""


def livekit_bundle() -> Path:
    """Return the path of the client's bundle. Skips the test if npm cannot bring it."""
    bundle = _CACHE / f"{PACKAGE}.js"
    if bundle.exists():
        return bundle
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, which brings LiveKit's client")
    own = _CACHE / f"livekit-client-{os.getpid()}"  # another process may install it at the same time
    own.mkdir(parents=True)
    try:
        command = (npm, "pack", "--silent", PACKAGE)
        try:
            packed = subprocess.run(
                command, cwd=own, check=True, timeout=_NPM_TIMEOUT_SECONDS, capture_output=True, text=True
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip(f"npm cannot bring {PACKAGE}")
        tarball = own / packed.stdout.strip()
        digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        assert f"sha512-{digest}" == _INTEGRITY, "npm brought another package than the published one"
        with tarfile.open(tarball) as archive:
            source = archive.extractfile(_BUNDLE)
            assert source is not None
            (own / "bundle.js").write_bytes(source.read())
        (own / "bundle.js").replace(bundle)
    finally:
        shutil.rmtree(own)
    return bundle


class LiveKitPeople:
    """People in rooms, each with a connection of LiveKit's client in one tab."""

    def __init__(self, page: Page, *, url: str, key: LiveKitKey) -> None:
        self._page = page
        self._url = url
        self._key = key

    async def join(self, room: str, identity: str, *, publishes: bool = False) -> None:
        """Let a participant join a room; return when it has joined, and published its microphone if it publishes."""
        token = jwt.encode(
            {
                "iss": self._key.key,
                "sub": identity,
                "exp": int(time.time()) + 600,
                "video": {"room": room, "roomJoin": True},
            },
            self._key.secret,
            algorithm="HS256",
        )
        await self._page.evaluate("arguments_ => join(...arguments_)", [identity, self._url, token, publishes])

    async def unpublish(self, identity: str) -> None:
        """Let a participant stop all its tracks."""
        await self._page.evaluate("name => unpublish(name)", identity)

    async def leave(self, identity: str) -> None:
        """Let a participant leave."""
        await self._page.evaluate("name => leave(name)", identity)


async def open_people(browser: Browser, *, url: str, key: LiveKitKey) -> LiveKitPeople:
    """Open a tab with LiveKit's client for the server at `url`."""
    context = await new_context(browser)
    await context.grant_permissions(["microphone", "camera"], origin=url)
    page = await context.new_page()
    # LiveKit's answer to this request is text. The tab has its origin, so that the browser lets it call LiveKit.
    await page.goto(url)
    await page.add_script_tag(path=livekit_bundle())
    await page.add_script_tag(content=_SCRIPT)
    return LiveKitPeople(page, url=url, key=key)
