"""The wiring of a node: the applications around its router, and the server for the other nodes."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from stagebook.api.aws.operation_calls import OperationCalls
from stagebook.cluster.cluster_node import ClusterNode, NodeIdentity
from stagebook.cluster.forwarding.owner_connections import IDLE_SECONDS
from stagebook.cluster.request_account import RequestAccounts
from stagebook.server.cluster.node_parts import NodeParts
from stagebook.server.http.http_server import HttpLimits, HttpServer
from stagebook.server.router import AsgiRouter
from stagebook.server.server_parts import ServerParts
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.server.watch_wiring import WatchAccessParts
from stagebook.server.wiring import http_limits

_KEEP_ALIVE_SECONDS: Final = round(2 * IDLE_SECONDS)


def build_cluster_node(
    parts: ServerParts,
    node: NodeParts,
    router: AsgiRouter,
    *,
    calls: OperationCalls,
    access: WatchAccessParts,
    describe: Callable[[], bytes],
) -> ClusterNode:
    """Return the applications of a node around its router. `describe` returns its state as JSON."""
    settings = parts.settings
    own_accounts = {credential.account_id for credential in parts.credentials}
    cluster = ClusterNode(
        router,
        identity=NodeIdentity(
            name=node.description.name,
            # A node that no other one reaches signs nothing: nobody needs to know its secret.
            cluster_secret=settings.cluster_secret or secrets.token_hex(32),
        ),
        local=node.accounts,
        source=node.leases,
        accounts=RequestAccounts(
            credentials=parts.credentials,
            find_bearer_key=access.keys.authenticate,
            cookie=access.cookie,
            find_operation=calls.router.name_of,
            open_account_id=settings.account_id if settings.auth == "off" else None,
        ),
        is_known=lambda account_id: account_id in own_accounts or access.keys.has_account(account_id),
        now_ms=SystemClock().now_ms,
        randomness=SystemRandomness(),
        encoders=parts.media.ingest,
        describe=describe,
    )
    node.leases.follow(cluster.note_owners_changed)
    return cluster


class InternalServer:
    """The HTTP server for the other nodes, between `start` and `stop`."""

    def __init__(self, parts: ServerParts, cluster: ClusterNode) -> None:
        self._sockets = [] if parts.sockets.internal is None else [parts.sockets.internal]
        limits = http_limits(parts.settings)
        self._http = HttpServer(
            cluster.internal_application,
            limits=HttpLimits(
                connections=limits.connections,
                # All requests of a node come from one address.
                connections_per_network=limits.connections,
                request_timeout_seconds=limits.request_timeout_seconds,
                keep_alive_seconds=_KEEP_ALIVE_SECONDS,
                websocket_message_size_bytes=limits.websocket_message_size_bytes,
                websocket_ping_seconds=limits.websocket_ping_seconds,
                websocket_timeout_seconds=limits.websocket_timeout_seconds,
                shutdown_timeout_seconds=limits.shutdown_timeout_seconds,
            ),
            trusted_proxies=(),
            on_started=lambda: None,
            before_close=_nothing,
        )
        self._task: asyncio.Task[None] | None = None

    def start(self, on_ended: Callable[[asyncio.Task[None]], None]) -> None:
        """Serve the other nodes; `on_ended` is called if that ends."""
        if self._sockets:
            self._task = asyncio.create_task(self._http.serve(sockets=self._sockets))
            self._task.add_done_callback(on_ended)

    async def stop(self) -> None:
        """Accept no more connections, and close those that are open."""
        self._http.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)


async def _nothing() -> None:
    """End no sessions: the server for clients does that."""
