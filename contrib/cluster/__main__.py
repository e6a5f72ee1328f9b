"""`python -m contrib.cluster`: a Stagebook cluster on one machine, without containers, until Ctrl-C.

PostgreSQL, Redis, two LiveKit nodes, three Stagebook nodes, and HAProxy or nginx with one public URL. All of them
listen on the loopback interface. A node that ends is started again, as a supervisor would do it.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from contrib.cluster.balancer_config import BalancerPorts, write_balancer
from contrib.cluster.child_process import (
    ChildFailedError,
    ChildProcess,
    accepts_connections,
    environment_of_children,
    free_port,
)
from contrib.cluster.cluster_parts import Database, LiveKit, Node, Redis, shared_settings, write_settings_file
from contrib.cluster.cluster_programs import BALANCERS, ProgramMissingError, Programs, find_programs

NODES: Final = 3
LIVEKIT_NODES: Final = 2
_LOOK_SECONDS: Final = 0.2
_RESTART_SECONDS: Final = 1.0


class _StoppedError(Exception):
    """A signal has asked the script to end."""


class Cluster:
    """The programs of a cluster, which `stack` ends in the reverse order of their start."""

    def __init__(self, programs: Programs, folder: Path, ports: BalancerPorts, stack: ExitStack) -> None:
        self.ports = ports
        self._programs = programs
        self._folder = folder
        self._stack = stack
        self._livekit: list[LiveKit] = []
        self.nodes: list[Node] = []
        self._needed: list[ChildProcess] = []
        """Programs without which the cluster cannot go on."""

    def start(self) -> None:
        """Start everything. Raises ChildFailedError, CalledProcessError and ProgramMissingError."""
        database = Database(self._programs.postgres, self._folder)
        self._add(database.child)
        database.start()
        livekit_port, secret = 0, secrets.token_hex(32)
        if self._programs.has_livekit:
            livekit_port = free_port()
            self._start_livekit(secret)
        settings = shared_settings(
            database_url=database.url, ports=self.ports, livekit_port=livekit_port, livekit_secret=secret
        )
        write_settings_file(self._folder / "stagebook.toml", settings)
        self.nodes = [Node(self._folder, number=number, settings=settings) for number in range(1, NODES + 1)]
        self._start_balancer(livekit_port)
        self._start_nodes()

    def watch(self) -> None:
        """Start nodes again that have ended. Raises ChildFailedError if another program has ended."""
        restarts: dict[str, float] = {}
        replaced = [node.child for node in self.nodes] + [each.child for each in self._livekit]
        while True:
            for child in self._needed:
                if child.exit_code is not None:
                    raise child.failure(f"ended with exit code {child.exit_code}")
            for child in replaced:
                if child.exit_code is None:
                    continue
                if child.name not in restarts:
                    restarts[child.name] = time.monotonic() + _RESTART_SECONDS
                    _say(f"{child.name} ended with exit code {child.exit_code}; it is started again")
                elif time.monotonic() >= restarts[child.name]:
                    del restarts[child.name]
                    child.start()
                    _say(f"{child.name} is process {child.process_id}")
            time.sleep(_LOOK_SECONDS)

    def describe(self) -> Iterator[str]:
        """Yield what the user needs to know, line by line."""
        yield f"Stagebook is ready at http://127.0.0.1:{self.ports.http}, on {NODES} nodes:"
        for node in self.nodes:
            yield f"  {node.child.name} is process {node.child.process_id}, http://127.0.0.1:{node.ports.http}"
        yield f"RTMP is at port {self.ports.rtmp}, RTMPS at port {self.ports.rtmps}."
        media = f"{LIVEKIT_NODES} LiveKit nodes forward the media"
        if not self._livekit:
            missing = "redis-server" if self._programs.livekit else "livekit-server"
            media = f"The nodes forward the media themselves: {missing} is not on the path"
        yield f"{media}. {self._programs.balancer.name} balances the load."
        yield f"Logs and data are in {self._folder}. In another terminal:"
        yield f'  eval "$({sys.executable} -m stagebook env --data {self.nodes[0].data})"'
        yield "  aws ivs-realtime create-stage --name first"
        yield f"  {sys.executable} -m stagebook cluster status --config {self._folder / 'stagebook.toml'}"
        yield "Ctrl-C ends everything."

    def _start_livekit(self, secret: str) -> None:
        assert self._programs.redis is not None  # noqa: S101 - has_livekit
        assert self._programs.livekit is not None  # noqa: S101 - has_livekit
        redis = Redis(self._programs.redis, self._folder)
        self._add(redis.child)
        redis.start()
        webhook_url = f"http://127.0.0.1:{self.ports.http}/livekit/webhook"
        for number in range(1, LIVEKIT_NODES + 1):
            livekit = LiveKit(
                self._programs.livekit,
                self._folder,
                number=number,
                redis_port=redis.port,
                webhook_url=webhook_url,
                secret=secret,
            )
            self._add(livekit.child, is_needed=False)
            livekit.start()
            self._livekit.append(livekit)

    def _start_balancer(self, livekit_port: int) -> None:
        program = self._programs.balancer
        balancer = write_balancer(
            program,
            self._folder,
            ports=self.ports,
            nodes=[node.ports for node in self.nodes],
            livekit_port=livekit_port,
            livekit_ports=[each.port for each in self._livekit],
        )
        child = ChildProcess(
            program.name,
            balancer.command,
            log=self._folder / f"{program.name}.log",
            environment=environment_of_children(),
            folder=self._folder,
        )
        self._add(child)
        child.start()
        child.wait_until(lambda: accepts_connections(self.ports.http))

    def _start_nodes(self) -> None:
        """Start the nodes. The first one starts alone: it makes the tables, and the certificate for encoders."""
        first, *others = self.nodes
        for nodes in ([first], others):
            for node in nodes:
                self._add(node.child, is_needed=False)
                node.child.start()
            for node in nodes:
                node.child.wait_until(node.is_healthy)

    def _add(self, child: ChildProcess, *, is_needed: bool = True) -> None:
        self._stack.callback(child.stop)
        if is_needed:
            self._needed.append(child)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a cluster until a signal; return the exit code."""
    arguments = _parse(argv)
    folder: Path = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    ports = BalancerPorts(
        http=free_port(arguments.port), rtmp=free_port(arguments.rtmp_port), rtmps=free_port(arguments.rtmps_port)
    )
    try:
        programs = find_programs((arguments.balancer,) if arguments.balancer else BALANCERS)
        with _signals_as_errors(), ExitStack() as stack:
            stack.callback(_ignore_signals)  # Runs first: nothing interrupts the end of the children.
            cluster = Cluster(programs, folder, ports, stack)
            stack.callback(_ignore_signals)
            cluster.start()
            _say(*cluster.describe())
            cluster.watch()
    except _StoppedError:
        return 0
    except (ChildFailedError, ProgramMissingError, OSError) as error:
        print(f"cluster: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"cluster: {Path(error.cmd[0]).name} failed: {error.stderr.strip()}", file=sys.stderr)
    return 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m contrib.cluster", description="Run three Stagebook nodes on this machine until Ctrl-C."
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("stagebook-cluster"), help="of logs and data; default: %(default)s"
    )
    parser.add_argument("--balancer", choices=BALANCERS, help="the load balancer; default: the first that is installed")
    parser.add_argument("--port", type=int, default=8080, help="of the public URL, 0 for any; default: %(default)s")
    parser.add_argument("--rtmp-port", type=int, default=1935, help="for RTMP, 0 for any; default: %(default)s")
    parser.add_argument("--rtmps-port", type=int, default=1936, help="for RTMPS, 0 for any; default: %(default)s")
    return parser.parse_args(argv)


@contextmanager
def _signals_as_errors() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        raise _StoppedError

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    yield


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
