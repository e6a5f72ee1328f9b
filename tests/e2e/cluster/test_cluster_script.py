"""`python -m contrib.cluster`: AWS clients, a publisher and a viewer at its public URL, and a node that is lost."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import httpx
import pytest
from botocore.config import Config

from contrib.cluster.child_process import accepts_connections
from contrib.cluster.cluster_programs import ProgramMissingError, find_programs
from stagebook.data_folder.secrets import DataFolder
from tests.clients.publisher import Publisher
from tests.clients.viewer import Viewer
from tests.e2e.cluster.nodes import signed_headers
from tests.e2e.package.readme_session import readme_steps
from tests.go_programs import LIVEKIT
from tests.serving import clean_environment

pytestmark = pytest.mark.slow

START_SECONDS = 120
END_SECONDS = 60
_READY = "Ctrl-C ends everything."
_NODE = re.compile(r"(node-\d) is process (\d+)")


class ClusterScript:
    """The running script. Entering waits until it is ready."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(LIVEKIT.path.parent)])
        self.process = subprocess.Popen(
            (
                *(sys.executable, "-m", "contrib.cluster", "--folder", str(folder)),
                *("--port", "0", "--rtmp-port", "0", "--rtmps-port", "0"),
            ),
            cwd=Path(__file__).parents[3],
            env=clean_environment(PATH=path, STAGEBOOK_LOG_LEVEL="info"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._ready.wait(START_SECONDS)
        assert _READY in self.output, self.output

    @property
    def output(self) -> str:
        """What the script has printed."""
        return "".join(self._lines)

    @property
    def url(self) -> str:
        """The public URL."""
        found = re.search(r"ready at (http://[\d.:]+)", self.output)
        assert found is not None, self.output
        return found[1]

    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client that asks the public URL, and again if a response is lost with its node."""
        address, key = DataFolder(self.folder / "node-1").read_server_access()
        assert address.endpoint_url == self.url
        return boto3.client(
            "ivs-realtime",
            endpoint_url=address.endpoint_url,
            region_name=address.region,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=Config(retries={"total_max_attempts": 5, "mode": "standard"}),
        )

    def processes(self) -> dict[str, int]:
        """The newest process id of each node."""
        return {name: int(number) for name, number in _NODE.findall(self.output)}

    def owner(self) -> str:
        """Return the name of the node that owns the account."""
        (owner,) = (
            name
            for name in self.processes()
            if "account acquired" in (self.folder / f"{name}.log").read_text(encoding="utf-8")
        )
        return owner

    def wait_for(self, text: str) -> None:
        """Wait until the script has printed a text."""
        deadline = time.monotonic() + END_SECONDS
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def end(self) -> int:
        """End the script with Ctrl-C; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(END_SECONDS)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._lines.append(line)
                if _READY in line:
                    self._ready.set()
        self._ready.set()


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterScript]:
    try:
        find_programs()
    except ProgramMissingError as error:
        pytest.skip(f"{error}; .ci/run names the packages")
    # Not a folder of pytest, which is private to the user that runs the tests: PostgreSQL has another one.
    with tempfile.TemporaryDirectory(prefix="stagebook-cluster-") as folder:
        Path(folder).chmod(0o755)
        script = ClusterScript(Path(folder))
        yield script
        script.end()


def run_aws_cli(cluster: ClusterScript, *words: str) -> str:
    """Run the AWS CLI with what `stagebook env` prints; return its output."""
    data = cluster.folder / "node-1"
    command = f'eval "$("$0" -m stagebook env --data "{data}")" && exec "$1" ivs-realtime {" ".join(words)}'
    aws = Path(sys.executable).with_name("aws")
    completed = subprocess.run(
        ("sh", "-c", command, sys.executable, aws),
        env=clean_environment(AWS_CONFIG_FILE=os.devnull, AWS_PAGER=""),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


class Show:
    """A stage with a publisher and a viewer, who use the public URL that is in their tokens."""

    def __init__(self, ivs: Any) -> None:  # noqa: ANN401 - boto3's client
        users = [{"userId": user, "capabilities": ["PUBLISH", "SUBSCRIBE"]} for user in ("ann", "ben")]
        created = ivs.create_stage(participantTokenConfigurations=users)
        self.stage_arn: str = created["stage"]["arn"]
        ann, ben = created["participantTokens"]
        self.publisher = Publisher(ann["token"])
        self.viewer = Viewer(ben["token"], publisher_id=ann["participantId"])

    async def start(self) -> None:
        """Publish and watch, until media has arrived."""
        await self.publisher.start()
        await self.viewer.start()
        await self.viewer.wait_for_media()

    async def stop(self) -> None:
        """Close both connections."""
        await asyncio.gather(self.publisher.stop(), self.viewer.stop())


def ends(cluster: ClusterScript, stage_arn: str) -> list[str]:
    """Return the causes of all LEFT events of a stage."""
    url = f"{cluster.url}/watch/v1/events?name=LEFT&stage={quote(stage_arn, safe='')}"
    key = DataFolder(cluster.folder / "node-1").read_server_access()[1]
    answer = httpx.get(url, headers=signed_headers(key, "GET", url), timeout=30)
    assert answer.status_code == 200, answer.text
    return [event["cause"] for event in answer.json()["events"]]


def test_the_commands_of_readme(cluster: ClusterScript) -> None:
    start, *steps = readme_steps("Several machines")
    assert (start.command, len(steps)) == ("python -m contrib.cluster\n", 3)
    key = DataFolder(cluster.folder / "node-1").read_server_access()[1]
    # Each step has a shell of its own, so what `stagebook env` sets is in the environment of all.
    programs = Path(sys.executable).parent
    for step in steps:
        command = step.command.replace("stagebook-cluster", str(cluster.folder))
        completed = subprocess.run(
            ("sh", "-c", command.replace("http://127.0.0.1:8080", cluster.url)),
            env=clean_environment(
                PATH=f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                AWS_CONFIG_FILE=os.devnull,
                AWS_PAGER="",
                AWS_ACCESS_KEY_ID=key.access_key_id,
                AWS_SECRET_ACCESS_KEY=key.secret_access_key,
                AWS_DEFAULT_REGION="us-west-2",
                AWS_ENDPOINT_URL=cluster.url,
            ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert completed.returncode == 0, completed.stderr
        assert completed.stdout.startswith(step.output)
    assert "3 nodes alive; 1 account: 1 owned" in completed.stdout


async def test_an_owner_is_lost_and_its_clients_go_on_at_the_same_url(cluster: ClusterScript) -> None:
    assert "first" in await asyncio.to_thread(run_aws_cli, cluster, "create-stage", "--name", "first")
    ivs = cluster.client()
    before = await asyncio.to_thread(Show, ivs)
    try:
        await before.start()
        owner = cluster.owner()
        os.kill(cluster.processes()[owner], signal.SIGKILL)
        created = await asyncio.to_thread(ivs.create_stage, name="after-the-loss")
        assert created["stage"]["name"] == "after-the-loss"
    finally:
        await before.stop()
    assert await asyncio.to_thread(ends, cluster, before.stage_arn) == ["crash_recovery", "crash_recovery"]
    after = await asyncio.to_thread(Show, ivs)
    try:
        await after.start()
    finally:
        await after.stop()
    # The script starts the node again, which serves what it does not own.
    await asyncio.to_thread(
        cluster.wait_for, f"{owner} ended with exit code -9; it is started again\n{owner} is process"
    )
    names = {stage["name"] for stage in (await asyncio.to_thread(ivs.list_stages))["stages"]}
    assert {"first", "after-the-loss"} <= names


def test_ctrl_c_ends_everything(cluster: ClusterScript) -> None:
    """The last test of the module."""
    port = int(cluster.url.rpartition(":")[2])
    processes = cluster.processes()
    assert cluster.end() == 0, cluster.output
    assert not accepts_connections(port)
    for process_id in processes.values():
        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)
    assert not (cluster.folder / "postgres" / "data" / "postmaster.pid").exists()
