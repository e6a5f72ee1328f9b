"""Two node processes with the same secrets, and clients of each."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import msgspec
from botocore.config import Config

from stagebook.cluster.account_owner import AccountOwner
from stagebook.data_folder.secrets import AccessKey, DataFolder
from stagebook.server.system_clock import SystemRandomness
from tests.e2e.cluster.node_process import write_leases

ACCOUNT_ID = "123456789012"


class NodeProcess(msgspec.Struct):
    """A running node."""

    process: subprocess.Popen[bytes]
    run_id: int
    port: int
    internal_port: int
    rtmp_port: int
    key: AccessKey
    log_path: Path

    @property
    def owner(self) -> AccountOwner:
        """The node as the owner of an account."""
        return AccountOwner(
            node=f"node-{self.run_id}", run_id=self.run_id, internal_url=f"http://127.0.0.1:{self.internal_port}"
        )

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, *, attempts: int = 1) -> Any:  # noqa: ANN401 - botocore makes the type
        """Return a boto3 client of this node."""
        return boto3.client(
            "ivs-realtime",
            endpoint_url=self.url,
            region_name="us-west-2",
            aws_access_key_id=self.key.access_key_id,
            aws_secret_access_key=self.key.secret_access_key,
            config=Config(retries={"total_max_attempts": attempts}),
        )


class TwoNodes(msgspec.Struct):
    """`owner` owns the account; clients ask `asked`."""

    asked: NodeProcess
    owner: NodeProcess
    leases_path: Path

    def give_to(self, node: NodeProcess | None) -> None:
        """Let a node own the account, or none."""
        write_leases(self.leases_path, {ACCOUNT_ID: None if node is None else node.owner})


@contextmanager
def two_nodes(folder: Path) -> Iterator[TwoNodes]:
    """Run two nodes. The account belongs to the second one."""
    leases_path = folder / "leases.json"
    write_leases(leases_path, {})
    first, second = folder / "first", folder / "second"
    secrets = DataFolder(first)
    secrets.prepare()
    randomness = SystemRandomness()
    key = secrets.access_key(account_id=ACCOUNT_ID, randomness=randomness)
    secrets.token_signing_key()
    secrets.page_token_secret(randomness=randomness)
    shutil.copytree(first, second)
    processes = [_start(data, leases_path, run_id) for run_id, data in enumerate((first, second), start=1)]
    try:
        asked, owner = (
            _started(process, run_id=number, key=key, log_path=data.with_suffix(".log"))
            for number, (process, data) in enumerate(zip(processes, (first, second), strict=True), start=1)
        )
        nodes = TwoNodes(asked=asked, owner=owner, leases_path=leases_path)
        nodes.give_to(owner)
        yield nodes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)
            process.stdout.close()  # type: ignore[union-attr]  # it is a pipe


def _start(data: Path, leases_path: Path, run_id: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.e2e.cluster.node_process", str(data), str(leases_path), str(run_id)]
    with data.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)


def _started(process: subprocess.Popen[bytes], *, run_id: int, key: AccessKey, log_path: Path) -> NodeProcess:
    line = process.stdout.readline() if process.stdout else b""
    while line and not line.startswith(b"{"):
        line = process.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
    if not line:
        raise AssertionError(log_path.read_text())
    return NodeProcess(process=process, run_id=run_id, key=key, log_path=log_path, **json.loads(line))
