"""A node for tests: the parts of a real server on SQLite, whose leases are a JSON file that all nodes read.

    python -m tests.e2e.cluster.node_process DATA_FOLDER LEASES_FILE RUN_ID

The nodes have the same secrets, and each has a book of its own: an account is in that of its owner. The first line
that is printed has the ports of clients and of nodes.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

from stagebook.api.watch.health import Health, ServerStatus
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.cluster_node import ClusterNode, NodeIdentity
from stagebook.cluster.request_account import RequestAccounts
from stagebook.config.rules import Address
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.controlled_parts import ControlledParts
from stagebook.server.http.http_server import HttpServer
from stagebook.server.listen_sockets import bind_listen_socket, open_listen_sockets
from stagebook.server.logs import configure_logging
from stagebook.server.metrics.measured_server import ApiRequests, MeasuredServer
from stagebook.server.router_wiring import build_router
from stagebook.server.server_parts import ServerParts
from stagebook.server.server_secrets import ServerSecrets
from stagebook.server.system_clock import SystemRandomness
from stagebook.server.watch_wiring import WatchAccessParts
from stagebook.server.wiring import build_operation_calls, http_limits
from stagebook.storage.stores import open_store

SECRET = "0123456789abcdef0123456789abcdef"
PUBLIC_URL = "http://stages.example.com"


class FileLeases:
    """The leases in a file, for one run: `AccountDirectory` and `LocalAccounts`."""

    def __init__(self, path: Path, run_id: int) -> None:
        self._path = path
        self.run_id = run_id
        self.me: AccountOwner | None = None

    def _read(self) -> dict[str, AccountOwner | None]:
        return msgspec.json.decode(self._path.read_bytes(), type=dict[str, AccountOwner | None])

    async def owners(self) -> Mapping[str, AccountOwner | None]:
        return self._read()

    def owns(self, account_id: str) -> bool:
        owner = self._read().get(account_id)
        return owner is not None and owner.run_id == self.run_id

    async def acquire(self, account_id: str) -> bool:
        leases = self._read()
        if leases.get(account_id) is not None:
            return self.owns(account_id)
        write_leases(self._path, leases | {account_id: self.me})
        return True


def write_leases(path: Path, leases: Mapping[str, AccountOwner | None]) -> None:
    """Replace the file."""
    new = path.with_suffix(f".{os.getpid()}")
    new.write_bytes(msgspec.json.encode(leases))
    new.rename(path)


async def _serve(data: Path, leases_path: Path, run_id: int) -> None:
    settings = Settings(
        data=str(data),
        listen="127.0.0.1:0",
        public_url=PUBLIC_URL,
        rtmp_listen="127.0.0.1:0",
        rtmps_listen="",
        watch_heartbeat_seconds=0.2,
        session_linger_seconds=0,
    )
    folder = DataFolder(data)
    folder.prepare()
    leases = FileLeases(leases_path, run_id)
    with BookLock.take(folder.book_path) as lock, open_listen_sockets(settings) as sockets:
        secrets = ServerSecrets.read(folder, settings)
        configure_logging(level="info", form="text", secrets=secrets.secret_strings())
        controlled = ControlledParts(store=open_store(settings.object_storage(folder.recordings_path)))
        async with ServerParts(
            settings, folder=folder, lock=lock, secrets=secrets, sockets=sockets, controlled=controlled
        ) as parts:
            await _run(parts, leases)


async def _run(parts: ServerParts, leases: FileLeases) -> None:
    health = Health(
        status=ServerStatus.OK, version="", auth="on", unknown_stream_keys=0, encoder_streams=0, shed_encoders=0
    )
    # Metrics are made at the first request, which no test sends.
    measured = cast("MeasuredServer", None)
    router = build_router(parts, requests=ApiRequests.new(), measured=measured, health=lambda: health)
    calls = build_operation_calls(
        parts.settings, manager=parts.manager, pages=parts.pages, secrets=parts.secrets, running_ns=time.monotonic_ns
    )
    access = WatchAccessParts(parts)
    account_id = parts.secrets.access_key.account_id
    node = ClusterNode(
        router,
        identity=NodeIdentity(name=f"node-{leases.run_id}", cluster_secret=SECRET),
        local=leases,
        source=leases,
        accounts=RequestAccounts(
            credentials=parts.credentials,
            find_bearer_key=lambda _text: None,
            cookie=access.cookie,
            find_operation=calls.router.name_of,
        ),
        is_known=lambda account: account == account_id,
        now_ms=lambda: time.time_ns() // 1_000_000,
        randomness=SystemRandomness(),
        encoders=parts.media.ingest,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with bind_listen_socket(Address(host="127.0.0.1", port=0)) as internal_socket:
        port = internal_socket.getsockname()[1]
        leases.me = AccountOwner(
            node=f"node-{leases.run_id}", run_id=leases.run_id, internal_url=f"http://127.0.0.1:{port}"
        )
        await node.start()
        servers = [
            (_server(parts, node.application), parts.sockets.http),
            (_server(parts, node.internal_application), internal_socket),
        ]
        tasks = [asyncio.create_task(server.serve(sockets=[bound])) for server, bound in servers]
        tasks.append(asyncio.create_task(parts.manager.run_timers()))
        rtmp = parts.sockets.rtmp.getsockname()[1] if parts.sockets.rtmp else 0
        print(json.dumps({"port": parts.port, "internal_port": port, "rtmp_port": rtmp}), flush=True)
        await stop.wait()
        for server, _ in servers:
            server.should_exit = True
        tasks.pop().cancel()
        await asyncio.gather(*tasks)
        await node.stop()
        await parts.manager.shutdown()


def _server(parts: ServerParts, application: Any) -> HttpServer:  # noqa: ANN401 - an ASGI application
    async def do_nothing() -> None:
        pass

    return HttpServer(
        application,
        limits=http_limits(parts.settings),
        trusted_proxies=(),
        on_started=lambda: None,
        before_close=do_nothing,
    )


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
