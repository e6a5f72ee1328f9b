"""`serve()`: a server for a block, a function or a class, and what it leaves behind."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest

from stagebook.testing import ServerNotStartedError, StagebookServer, serve
from stagebook.testing.server_start import ServerStart

DEADLINE_SECONDS = 60


def accepts_connections(url: str) -> bool:
    """Return whether somebody listens at the address of a URL."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def stages_of_environment() -> list[object]:
    """What code under test does: list the stages with a client of its own."""
    return list(boto3.client("ivs-realtime").list_stages()["stages"])


def test_a_block_has_a_server_and_leaves_nothing_behind() -> None:
    started = ServerStart({})
    url, _ = started.wait()
    process_id, folder = started.process_id, started.folder
    assert accepts_connections(url)
    assert folder.stat().st_mode & 0o077 == 0
    started.end()
    assert not accepts_connections(url)
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_two_servers_in_one_process_are_separate() -> None:
    with serve() as first, serve(region="eu-west-1") as second:
        first.client().create_stage(name="first")
        assert second.client().list_stages()["stages"] == []
        assert (first.region, second.region) == ("us-west-2", "eu-west-1")
        arn = second.client().create_stage(name="second")["stage"]["arn"]
        assert arn.startswith("arn:aws:ivs:eu-west-1:")
    with pytest.raises(ServerNotStartedError, match="does not answer"):
        first.clock.advance(hours=1)


def test_servers_in_threads_are_separate() -> None:
    def count(name: str) -> int:
        with serve() as server:
            server.client().create_stage(name=name)
            return len(server.client().list_stages()["stages"])

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(count, ["first", "second"])) == [1, 1]


def test_a_server_outlives_the_thread_that_started_it() -> None:
    found: list[ServerStart] = []
    thread = threading.Thread(target=lambda: found.append(ServerStart({})))
    thread.start()
    thread.join()
    try:
        url, _ = found[0].wait()
        assert accepts_connections(url)
    finally:
        found[0].end()


@serve
def with_server(server: StagebookServer) -> str:
    """A decorated function with the parameter."""
    assert stages_of_environment() == []
    return server.url


@serve(region="eu-west-1")
def with_argument(number: int) -> int:
    """A decorated function without the parameter, and with one of its own."""
    assert os.environ["AWS_REGION"] == "eu-west-1"
    stages_of_environment()
    return number + 1


@serve()
async def coroutine(server: StagebookServer) -> str:
    """A decorated coroutine function."""
    await asyncio.sleep(0)
    stages_of_environment()
    return server.url


def test_a_decorated_function_has_a_server_of_its_own_for_each_call() -> None:
    before = dict(os.environ)
    assert not accepts_connections(with_server())  # type: ignore[call-arg]  # the decorator passes it
    assert with_argument(1) == 2
    assert dict(os.environ) == before


async def test_a_coroutine_function_can_be_decorated() -> None:
    assert (await coroutine()).startswith("http://")  # type: ignore[call-arg]  # the decorator passes it


@serve
class TestDecoratedClass:
    """The tests of a class share a server, as pytest runs them."""

    server: StagebookServer

    def test_a_client_of_the_code_under_test_reaches_it(self) -> None:
        self.server.client().create_stage(name="show")
        assert len(stages_of_environment()) == 1

    def test_the_server_is_that_of_the_class(self) -> None:
        assert type(self).server is self.server


@serve
class DecoratedCase(unittest.TestCase):
    """The tests of a TestCase share a server."""

    server: StagebookServer

    def test_it_is_there_with_its_environment(self) -> None:
        """The name and the text are unittest's."""
        self.server.client().create_stage(name="show")
        self.assertEqual(len(stages_of_environment()), 1)  # noqa: PT009 - a test of unittest


def test_a_test_case_can_be_decorated_with_unittest_alone() -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(DecoratedCase).run(result)
    assert (result.testsRun, result.failures, result.errors) == (1, [], [])
    assert not accepts_connections(DecoratedCase.server.url)


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(ServerNotStartedError, match="must be a region name"), serve(region="nowhere at all"):
        pass


def test_a_settings_file_names_the_channels_of_compositions(tmp_path: Path) -> None:
    file, channel = tmp_path / "settings.toml", "arn:aws:ivs:eu-west-1:123456789012:channel/abcdABCDefgh"
    file.write_text(f'[channels]\n"{channel}" = "rtmp://127.0.0.1:1/app/key"\n', encoding="utf-8")
    with serve(config=str(file), region="eu-west-1") as server:
        ivs = server.client()
        stage = ivs.create_stage()["stage"]
        destinations = [{"channel": {"channelArn": channel}}]
        composition = ivs.start_composition(stageArn=stage["arn"], destinations=destinations)["composition"]
        assert composition["destinations"][0]["configuration"]["channel"]["channelArn"] == channel


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ServerNotStartedError, match="there is no such setting"), serve(regoin="eu-west-1"):
        pass


HOLDER = """
import sys
from stagebook.testing.server_start import ServerStart
started = ServerStart({})
started.wait()
print(started.process_id, started.folder, flush=True)
sys.stdin.read()
"""


def test_the_server_ends_with_a_process_that_is_killed() -> None:
    """A killed process cleans nothing up."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        number, folder = holder.stdout.readline().split()
        watched = os.pidfd_open(int(number))
        holder.send_signal(signal.SIGKILL)
        assert wait_for_end(watched)
    assert not Path(folder).exists()


def wait_for_end(descriptor: int) -> bool:
    """Wait until the process of a pidfd has ended; return whether it has. The descriptor is closed."""
    try:
        return bool(select.select([descriptor], [], [], DEADLINE_SECONDS)[0])
    finally:
        os.close(descriptor)
