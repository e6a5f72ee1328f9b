"""The servers of others that are installed, and the ways in which each is run."""

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from bench.forwarder.forwarding_server import ForwardingServer
from bench.forwarder.janus_server import janus_binary, janus_server
from bench.forwarder.livekit_server import livekit_binary, livekit_server

OtherServer: TypeAlias = Callable[[str, Path], AbstractAsyncContextManager[ForwardingServer]]
"""Runs the server with this binary, with its files in this folder."""

_OTHERS: Final[tuple[tuple[str, Callable[[], str | None], tuple[OtherServer, ...]], ...]] = (
    ("LiveKit", livekit_binary, (livekit_server,)),
    ("Janus", janus_binary, (janus_server, partial(janus_server, event_loops=os.cpu_count() or 1))),
)
"""For each program its name, where its binary is, and the ways in which it is run."""


def other_servers(folder: Path) -> list[AbstractAsyncContextManager[ForwardingServer]]:
    """The servers, not started, with their files in `folder`. It prints which program is not installed."""
    servers = []
    for name, binary, ways in _OTHERS:
        path = binary()
        if path is None:
            print(f"{name} is not installed and is left out", flush=True)
        else:
            servers += [running(str(Path(path).absolute()), folder) for running in ways]
    return servers
