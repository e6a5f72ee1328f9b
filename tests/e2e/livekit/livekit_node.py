"""Real LiveKit servers on the loopback interface: one node alone, or several that share a Redis."""

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from stagebook.media.livekit.livekit_access import LiveKitKey
from tests.go_programs import LIVEKIT, required

KEY: Final = LiveKitKey(key="test", secret="the secret of the LiveKit servers of the tests")
START_SECONDS: Final = 30.0


class LiveKitNode:
    """One server process, until `kill`."""

    def __init__(self, program: Path, folder: Path, *, webhook_url: str, redis_port: int | None = None) -> None:
        """Configuration and log are in `folder`. The node posts webhooks to `webhook_url`."""
        self.port, tcp_port, udp_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / f"livekit-{self.port}.log"
        self._program = program
        self._config_path = folder / f"livekit-{self.port}.yaml"
        self._process: subprocess.Popen[bytes] | None = None
        config: dict[str, Any] = {
            "port": self.port,
            "bind_addresses": ["127.0.0.1"],
            "rtc": {
                "udp_port": udp_port,
                "tcp_port": tcp_port,
                "use_external_ip": False,
                "node_ip": "127.0.0.1",
                "enable_loopback_candidate": True,
                "interfaces": {"includes": ["lo"]},
                "stun_servers": [],
            },
            "keys": {KEY.key: KEY.secret},
            "logging": {"level": "info"},
            # Without it, the sizes of pictures are unknown.
            "api": {"enable_psrpc_for_get_list_participants": True},
            "webhook": {"urls": [webhook_url], "api_key": KEY.key},
        }
        if redis_port is not None:
            config["redis"] = {"address": f"127.0.0.1:{redis_port}"}
        self._config_path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        self.stagebook_config = folder / f"stagebook-{self.port}.toml"
        """The file with the settings of a Stagebook server that uses this node."""
        settings = {
            "media_engine": "livekit",
            "livekit_url": self.url,
            "livekit_api_key": KEY.key,
            "livekit_api_secret": KEY.secret,
        }
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        self.stagebook_config.write_text("".join(lines), encoding="utf-8")
        self.stagebook_config.chmod(0o600)

    @property
    def process_id(self) -> int:
        """The process id of a node that was started."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the node, and wait until it listens."""
        with self.log_path.open("ab") as log:
            command = (self._program, "--config", self._config_path)
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until_listening(self.port, self._process, name="LiveKit")

    def kill(self) -> None:
        """End the node like a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send the node a signal: stopped, it is as good as cut off the network."""
        assert self._process is not None
        self._process.send_signal(number)


class RedisServer:
    """A redis-server. It can be ended and started again, and is empty then if it has no folder."""

    def __init__(self, folder: Path | None = None) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("needs redis-server")
        self._program = program
        (self.port,) = free_ports(1)
        # fsync for each command, so that a kill loses nothing.
        kept = () if folder is None else ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder))
        self._options = ("--bind", "127.0.0.1", "--save", "", *kept)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = (self._program, "--port", str(self.port), *self._options)
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_listening(self.port, self._process, name="redis-server")

    def kill(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_node(folder: Path, *, webhook_url: str) -> Iterator[LiveKitNode]:
    """Run one node without Redis."""
    node = LiveKitNode(required(LIVEKIT), folder, webhook_url=webhook_url)
    try:
        node.start()
        yield node
    finally:
        node.kill()


@contextmanager
def running_cluster(
    folder: Path, *, webhook_url: str, nodes: int = 2, keeps_data: bool = True
) -> Iterator[tuple[list[LiveKitNode], RedisServer]]:
    """Run several nodes and their Redis. With `keeps_data`, Redis has its data again after a restart."""
    program = required(LIVEKIT)
    with ExitStack() as started:
        redis = RedisServer(folder if keeps_data else None)
        started.callback(redis.kill)
        redis.start()
        running = [LiveKitNode(program, folder, webhook_url=webhook_url, redis_port=redis.port) for _ in range(nodes)]
        for node in running:
            started.callback(node.kill)
            node.start()
        yield running, redis


def free_ports(count: int) -> Sequence[int]:
    """Return ports of the loopback interface that are free."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in listening]
    finally:
        for each in listening:
            each.close()


def wait_until_listening(port: int, process: subprocess.Popen[bytes], *, name: str) -> None:
    """Wait until a process accepts connections. Fails when it has exited."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, f"{name} has exited"
            assert time.monotonic() < deadline, f"{name} does not listen"
            time.sleep(0.05)
        else:
            return
