"""The load balancer's configuration for nodes on one machine: the example, with the addresses replaced."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from contrib.cluster.cluster_programs import nginx_stream_module

FOLDER: Final = Path(__file__).parent
HTTP_PORT, RTMP_PORT, RTMPS_PORT, LIVEKIT_PORT = 8080, 1935, 1936, 7880
"""The ports of the examples."""
_LIVEKIT_PART: Final = re.compile(r"^ *# LiveKit: begin.*?^ *# LiveKit: end\n", re.MULTILINE | re.DOTALL)
CONFIG_NAMES: Final = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}


class BalancerPorts(NamedTuple):
    """The ports of the load balancer, or those of a node, on the loopback interface."""

    http: int
    rtmp: int
    rtmps: int

    def by_example(self) -> dict[int, int]:
        """Return the ports by those of the example."""
        return {HTTP_PORT: self.http, RTMP_PORT: self.rtmp, RTMPS_PORT: self.rtmps}


class Balancer(NamedTuple):
    """A load balancer that can be started."""

    command: tuple[str | Path, ...]
    check_command: tuple[str | Path, ...]
    """Checks the configuration, and ends."""


def write_balancer(
    program: Path,
    folder: Path,
    *,
    ports: BalancerPorts,
    nodes: Sequence[BalancerPorts],
    livekit_port: int = 0,
    livekit_ports: Sequence[int] = (),
) -> Balancer:
    """Write the configuration of nginx or HAProxy to `folder`; return its commands.

    `nodes` are at most three. Raises ProgramMissingError if nginx has no module for TCP.
    """
    path = folder / CONFIG_NAMES[program.name]
    text = example_for(path.name, ports=ports, nodes=nodes, livekit_port=livekit_port, livekit_ports=livekit_ports)
    path.write_text(text, encoding="utf-8")
    return _nginx(program, folder, path) if program.name == "nginx" else _haproxy(program, path)


def example_for(
    name: str,
    *,
    ports: BalancerPorts,
    nodes: Sequence[BalancerPorts],
    livekit_port: int = 0,
    livekit_ports: Sequence[int] = (),
) -> str:
    """Return an example with these addresses, without the part about LiveKit if there are no `livekit_ports`."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    if not livekit_ports:
        text = _LIVEKIT_PART.sub("", text)
    listening = ports.by_example() | {LIVEKIT_PORT: livekit_port}
    addresses = {
        f"node-{number}:{example}": port
        for number, node in enumerate(nodes, 1)
        for example, port in node.by_example().items()
    }
    addresses |= {f"livekit-{number}:{LIVEKIT_PORT}": port for number, port in enumerate(livekit_ports, 1)}
    return _with_addresses(text, listening, addresses)


def _with_addresses(text: str, listening: Mapping[int, int], addresses: Mapping[str, int]) -> str:
    """Return the example with these ports, without the servers that have none."""
    lines = []
    for line in text.splitlines(keepends=True):
        if re.match(r" *server \S+", line) and (found := re.search(r"(?:node|livekit)-\d+:\d+", line)):
            if found[0] not in addresses:
                continue
            line = line.replace(found[0], f"127.0.0.1:{addresses[found[0]]}")
        elif found := re.match(r"( +)(listen |bind :)(\d+)(;?)$", line):
            word = found[2].removesuffix(":")
            line = f"{found[1]}{word}127.0.0.1:{listening[int(found[3])]}{found[4]}\n"
        lines.append(line)
    return "".join(lines)


def _haproxy(program: Path, path: Path) -> Balancer:
    return Balancer((program, "-db", "-f", path), (program, "-c", "-f", path))


def _nginx(program: Path, folder: Path, path: Path) -> Balancer:
    """Return the commands with what a system's own configuration names: the log, the folders, the module for TCP."""
    module = nginx_stream_module(program)
    # Long bodies go through files; the system's folder for them belongs to root.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"    {kind}_temp_path {folder}/nginx-{kind};\n" for kind in kinds)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("http {\n", f"http {{\n{folders}", 1), encoding="utf-8")
    directives = [f"pid {folder}/nginx.pid", "daemon off", "error_log stderr"]
    directives += ["user root"] if os.geteuid() == 0 else []
    directives += [] if module is None else [f"load_module {module}"]
    options = ("-e", "stderr", "-p", folder, "-c", path, "-g", "; ".join(reversed(directives)) + ";")
    return Balancer((program, *options), (program, "-t", *options))
