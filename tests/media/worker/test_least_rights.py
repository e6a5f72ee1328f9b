"""What a worker process can do, as the system sees it: limits, privileges, descriptors and environment."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.data_folder.secrets import DataFolder
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.least_rights import ProcessUser, worker_environment
from stagebook.server.system_clock import SystemRandomness

OTHER_USER = ProcessUser(user_id=60_001, group_id=60_002) if os.geteuid() == 0 else None
"""The user that workers become. Only root can let them."""

LOW_PORT = 600 + os.getpid() % 400
"""A UDP port below 1024."""

as_root = pytest.mark.skipif(OTHER_USER is None, reason="needs root")

READ_FILES = """
import sys
from pathlib import Path
from stagebook.media.worker.least_rights import ProcessUser, drop_rights

paths = [Path(sys.argv[1]), *Path(sys.argv[1]).iterdir()]
drop_rights(ProcessUser(user_id=60_001, group_id=60_002))
for path in paths:
    try:
        path.open() if path.is_file() else list(path.iterdir())
    except PermissionError:
        print("denied", path.name)
"""


@pytest.fixture(name="worker", params=["engine", "ingest process"])
async def worker_fixture(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Path]:
    """A running worker process as its folder in /proc. Its server has a secret variable and an inheritable file."""
    monkeypatch.setenv("STAGEBOOK_SECRET_ACCESS_KEY", "secret")
    with (tmp_path / "inheritable").open("w") as inheritable, socket.create_server(("127.0.0.1", 0)) as rtmp:
        os.set_inheritable(inheritable.fileno(), True)  # noqa: FBT003 - the function's own signature
        if request.param == "engine":
            pool = EnginePool(EngineSettings(), processes=1, user=OTHER_USER)
            await pool.start()
            yield Path(f"/proc/{pool.engines[0].process_id}")
            await pool.stop()
        else:
            ingest = IngestPool(IngestSettings(), processes=1, rtmp=rtmp, rtmps=None, user=OTHER_USER)
            await ingest.start()
            yield Path(f"/proc/{ingest.workers[0].process_id}")
            await ingest.stop()


def open_files(process: Path, pattern: str = "*") -> set[str]:
    """The paths of the open files of a process, without sockets and the null device."""
    opened = {str(descriptor.readlink()) for descriptor in (process / "fd").glob(pattern)}
    return {path for path in opened if path.startswith("/") and path != "/dev/null"}


async def test_a_worker_has_no_rights_beyond_its_sockets(worker: Path) -> None:
    assert "NoNewPrivs:\t1" in (worker / "status").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (worker / "limits").read_text().splitlines()}
    for name in ("Max core file size", "Max file size", "Max processes"):
        assert limits[name] == ["0", "0"]
    assert b"secret" not in (worker / "environ").read_bytes()
    # Only stderr is the server's. The rest are sockets and what the event loop waits with.
    assert open_files(worker) <= open_files(Path("/proc/self"), "2")


@as_root
async def test_a_worker_of_root_becomes_another_user_without_groups(worker: Path) -> None:
    status = (worker / "status").read_text().splitlines()
    assert {"Uid:\t60001\t60001\t60001\t60001", "Gid:\t60002\t60002\t60002\t60002"} <= set(status)
    assert next(line for line in status if line.startswith("Groups:")).split() == ["Groups:"]


@as_root
@pytest.mark.parametrize("port", [LOW_PORT, 0], ids=["a low port", "any port"])
async def test_an_engine_keeps_the_capability_to_bind_a_low_port_if_it_needs_it(port: int) -> None:
    pool = EnginePool(EngineSettings(udp_port=port), processes=1, user=OTHER_USER)
    await pool.start()
    status = await asyncio.to_thread(Path(f"/proc/{pool.engines[0].process_id}/status").read_text)
    await pool.stop()
    kept = f"{1 << 10 if port else 0:016x}"
    assert {f"CapPrm:\t{kept}", f"CapEff:\t{kept}", f"CapInh:\t{0:016x}"} <= set(status.splitlines())


@as_root
def test_a_user_without_rights_cannot_read_the_data_folder() -> None:
    """The whole folder: its keys, the book, its log and the certificate, with the modes that the server gives them."""
    # Not below the temporary folder of pytest, which only root can enter.
    with tempfile.TemporaryDirectory(prefix="stagebook-test-") as parent:
        Path(parent).chmod(0o755)
        folder = DataFolder(Path(parent) / "data")
        folder.prepare()
        folder.access_key(account_id="123456789012", randomness=SystemRandomness())
        folder.token_signing_key()
        folder.page_token_secret(randomness=SystemRandomness())
        folder.prepare_certificate(hosts=["localhost"], now=datetime.now(UTC))
        read_secret = partial(folder.stream_key_secret, randomness=SystemRandomness())

        async def read_as_another_user() -> str:
            book = SqliteBook.open(folder.book_path, read_secret=read_secret)
            command = (sys.executable, "-c", READ_FILES, str(folder.path))
            ended = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            output, _ = await ended.communicate()
            await book.close()
            return output.decode()

        denied = asyncio.run(read_as_another_user()).splitlines()

    names = {"data", "book.sqlite3", "book.sqlite3-wal", "access-key.json", "token-signing-key.pem"}
    names |= {"page-token-secret", "stream-key-secret", "rtmps-private-key.pem"}
    assert {f"denied {name}" for name in names} <= set(denied)


def test_a_worker_gets_the_variables_that_python_and_the_system_need() -> None:
    kept = {"PATH": "/bin", "PYTHONPATH": "src", "LANG": "C", "LC_ALL": "C", "LD_LIBRARY_PATH": "/lib", "TZ": "UTC"}
    dropped = {"STAGEBOOK_ACCESS_KEY": "x", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/root", "path": "x"}
    assert worker_environment(kept | dropped) == kept
