"""Asks a node how it is, on its internal server, from a process that is no node: `cluster status`, `doctor`.

The question is signed as the requests of nodes are, so only who knows the secret of the cluster gets an answer.
"""

import http.client
import time
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from stagebook.api.watch.health import Health
from stagebook.cluster.forwarding.forwarding_seal import FORWARDED_HEADER, ForwardingSeal
from stagebook.cluster.forwarding.internal_application import NODE_PATH

TIMEOUT_SECONDS: Final = 2.0
ANSWER_LIMIT_BYTES: Final = 65_536
ASKER: Final = "stagebook-command"
"""In place of the name of a node."""


class NodeReach(StrEnum):
    """What became of a question."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """It answered that the secret, or the clock, is another one."""
    OTHER_RUN = "other_run"
    """The address is that of another run: the node was restarted, or its internal URL is wrong."""
    UNREACHABLE = "unreachable"
    NO_ADDRESS = "no_address"
    """The node has no internal server."""


class NodeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a node, or why there is none."""

    reach: NodeReach
    health: Health | None = None
    reason: str = ""


def ask_node(internal_url: str, *, run_id: int, cluster_secret: str) -> NodeAnswer:
    """Ask the run of a node how it is. Takes at most some TIMEOUT_SECONDS."""
    address = urlsplit(internal_url)
    if not address.hostname:
        return NodeAnswer(reach=NodeReach.NO_ADDRESS, reason="the node has no internal_listen")
    connection = http.client.HTTPConnection(address.hostname, address.port or 80, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", NODE_PATH, headers=_headers(address.netloc, run_id, cluster_secret))
        response = connection.getresponse()
        body = response.read(ANSWER_LIMIT_BYTES)
    except (OSError, http.client.HTTPException) as error:
        return NodeAnswer(reach=NodeReach.UNREACHABLE, reason=str(error) or type(error).__name__)
    finally:
        connection.close()
    if response.status == http.client.FORBIDDEN:
        return NodeAnswer(reach=NodeReach.REFUSED, reason=body.decode(errors="replace")[:200])
    if response.status == http.client.MISDIRECTED_REQUEST:
        return NodeAnswer(reach=NodeReach.OTHER_RUN, reason="another run of a node answers at its address")
    try:
        return NodeAnswer(reach=NodeReach.ANSWERED, health=msgspec.json.decode(body, type=Health))
    except msgspec.DecodeError:
        return NodeAnswer(reach=NodeReach.UNREACHABLE, reason=f"HTTP status {response.status}, not that of a node")


def _headers(host: str, run_id: int, cluster_secret: str) -> dict[str, str]:
    seal = ForwardingSeal(cluster_secret, now_ms=lambda: time.time_ns() // 1_000_000)
    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": NODE_PATH.encode(),
        "query_string": b"",
        "headers": [(b"host", host.encode())],
    }
    facts = seal.facts(scope, account_id="", run_id=run_id, node=ASKER)
    return {"Host": host, FORWARDED_HEADER.decode(): seal.sign(scope, facts).decode()}
