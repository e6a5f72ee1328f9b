"""nginx and HAProxy with the examples of `contrib/cluster`, in front of nodes."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from contrib.cluster.balancer_config import BalancerPorts, write_balancer
from contrib.cluster.child_process import accepts_connections, free_port
from contrib.cluster.cluster_programs import ProgramMissingError, find_balancer, nginx_stream_module
from tests.e2e.cluster.nodes import Node

START_SECONDS: Final = 30
BALANCER_LOG: Final = "balancer.log"
"""In the folder of the configuration."""


def balancer_program(name: str) -> Path:
    """Return the path of a load balancer. Skips the test with the reason if it is not installed."""
    try:
        program = find_balancer((name,))
        if name == "nginx":
            nginx_stream_module(program)
    except ProgramMissingError as error:
        pytest.skip(f"{error}; .ci/run names the packages")
    return program


@contextmanager
def running_balancer(program: Path, folder: Path, nodes: Sequence[Node]) -> Iterator[BalancerPorts]:
    """Run a load balancer in front of `nodes`, at most three; yield its ports."""
    ports = BalancerPorts(http=free_port(), rtmp=free_port(), rtmps=free_port())
    behind = [BalancerPorts(http=node.port, rtmp=node.rtmp_port, rtmps=node.rtmps_port) for node in nodes]
    command = write_balancer(program, folder, ports=ports, nodes=behind).command
    log = folder / BALANCER_LOG
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not accepts_connections(ports.http):
                running = process.poll() is None and time.monotonic() < deadline
                assert running, log.read_text(encoding="utf-8")
                time.sleep(0.02)
            yield ports
        finally:
            process.terminate()
