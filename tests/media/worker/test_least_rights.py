"""What a worker process can do, as the system sees it: limits, privileges, descriptors and environment."""

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.media.ingest.ingest_engine import IngestEngine
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.least_rights import worker_environment


@pytest.fixture(name="worker", params=["engine", "ingest process"])
async def worker_fixture(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Path]:
    """A running worker process as its folder in /proc. Its server has a secret variable and an inheritable file."""
    monkeypatch.setenv("STAGEBOOK_SECRET_ACCESS_KEY", "secret")
    with (tmp_path / "inheritable").open("w") as inheritable, socket.create_server(("127.0.0.1", 0)) as rtmp:
        os.set_inheritable(inheritable.fileno(), True)  # noqa: FBT003 - the function's own signature
        if request.param == "engine":
            pool = EnginePool(EngineSettings(), processes=1)
            await pool.start()
            yield Path(f"/proc/{pool.engines[0].process_id}")
            await pool.stop()
        else:
            ingest = IngestEngine(IngestSettings(), rtmp=rtmp, rtmps=None)
            await ingest.start()
            yield Path(f"/proc/{ingest.process_id}")
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


def test_a_worker_gets_the_variables_that_python_and_the_system_need() -> None:
    kept = {"PATH": "/bin", "PYTHONPATH": "src", "LANG": "C", "LC_ALL": "C", "LD_LIBRARY_PATH": "/lib", "TZ": "UTC"}
    dropped = {"STAGEBOOK_ACCESS_KEY": "x", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/root", "path": "x"}
    assert worker_environment(kept | dropped) == kept
