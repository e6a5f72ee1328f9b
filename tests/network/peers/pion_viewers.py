"""Participants with pion (Go) in one process: what viewers receive is counted and not decoded. Built in the test."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.clients.stage_client import token_payload

SOURCE = Path(__file__).parent / "pion"
BUILD_TIMEOUT_SECONDS = 100


class PionUnavailableError(Exception):
    """The client cannot be built here. The message says why."""


class PionStream(msgspec.Struct, frozen=True, kw_only=True):
    """What a viewer has received of one track. `max_gap_ms` is the longest time without a new frame since the last
    report."""

    packets: int
    missing: int
    duplicates: int
    frames: int
    widths: list[int]
    max_gap_ms: int
    state: str


def build_pion_client(folder: Path) -> Path:
    """Build the client in a folder, and return its path. Raises PionUnavailableError."""
    go = shutil.which("go")
    if go is None:
        raise PionUnavailableError("there is no Go on the path")
    program = folder / "pionviewers"
    try:
        subprocess.run(
            [go, "build", "-o", str(program), "."],
            cwd=SOURCE,
            check=True,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise PionUnavailableError(str(error)) from error
    except subprocess.CalledProcessError as error:
        raise PionUnavailableError(f"go build: {error.stderr!s}") from error
    return program


class PionViewers:
    """The process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def watch(self, token: str, publisher_id: str, *, edit: Callable[[str], str] = str) -> None:
        """Connect one more viewer, without a relay. Its name in reports is its participant id.

        `edit` changes the answer before it is applied.
        """
        whip_url, participant_id = token_payload(token)["whip_url"], token_payload(token)["jti"]
        offer = (await self._call({"open": participant_id}))["offer"]
        answer = await _send_offer(f"{whip_url}/subscribe/{publisher_id}", token, offer)
        await self._call({"id": participant_id, "answer": edit(answer)})

    async def publish(self, token: str, *, edit: Callable[[str], str] = str) -> None:
        """Publish keyframes of VP8 that cannot be decoded."""
        whip_url, participant_id = token_payload(token)["whip_url"], token_payload(token)["jti"]
        offer = (await self._call({"publish": participant_id}))["offer"]
        await self._call({"id": participant_id, "answer": edit(await _send_offer(whip_url, token, offer))})

    async def protocol(self, participant_id: str) -> str:
        """Return the protocol of a connection: udp or tcp; empty before it is connected."""
        return str((await self._call({"protocol": participant_id}))["protocol"])

    async def report(self) -> dict[str, dict[str, PionStream]]:
        """The streams of each viewer by their kind. The longest gaps begin anew."""
        return msgspec.convert(await self._call({"report": True}), dict[str, dict[str, PionStream]])

    async def _call(self, command: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        line = await self._process.stdout.readline()
        assert line, "the pion client has ended"
        return msgspec.json.decode(line)


async def _send_offer(url: str, token: str, offer: str) -> str:
    """Send an offer, and return the answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient(follow_redirects=True) as http:
        response = await http.post(url, content=offer, headers=headers)
    assert response.status_code == 201, response.text
    return response.text


@contextlib.asynccontextmanager
async def pion_viewers(program: Path) -> AsyncIterator[PionViewers]:
    """Run the client."""
    process = await asyncio.create_subprocess_exec(
        program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield PionViewers(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
