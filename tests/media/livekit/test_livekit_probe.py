"""The check of a LiveKit deployment."""

import socket
import time

import pytest

from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_probe import LiveKitUnusableError, judge_version, probe
from tests.media.livekit.fake_livekit import KEY, running_fake

ACCESS = LiveKitAccess(KEY, wall_clock=time.time)


async def test_a_deployment_tells_its_version() -> None:
    async with running_fake() as fake:
        found = await probe(fake.url, access=ACCESS)
        assert (found.version, found.warning) == ("1.13.5", None)
        assert list(fake.rooms) == [found.room]


async def test_a_deployment_that_is_too_old_is_refused() -> None:
    async with running_fake() as fake:
        fake.version = "1.12.0"
        with pytest.raises(LiveKitUnusableError, match="at least"):
            await probe(fake.url, access=ACCESS)


async def test_an_address_without_a_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    with pytest.raises(LiveKitUnusableError, match=url):
        await probe(url, access=ACCESS)


@pytest.mark.parametrize(("version", "is_warned"), [("1.13.0", False), ("1.14.1", True), ("2.0.0", True), ("", True)])
def test_other_versions_than_the_tested_one_are_warned_of(version: str, *, is_warned: bool) -> None:
    assert (judge_version(version).warning is not None) == is_warned


@pytest.mark.parametrize("version", ["0.99.1", "1.12.9"])
def test_earlier_versions_are_refused(version: str) -> None:
    with pytest.raises(LiveKitUnusableError):
        judge_version(version)
