"""Nodes of a cluster in one process, on real sockets: servers around small applications, and leases in a dictionary."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.api.watch.access.session_cookie import SessionCookie
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.cluster_node import ClusterNode, NodeIdentity
from stagebook.cluster.request_account import RequestAccounts
from stagebook.server.http.http_server import HttpServer
from stagebook.server.system_clock import SystemRandomness
from tests.server.http.http_harness import read_body, running_server

SECRET = "0123456789abcdef0123456789abcdef"
ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
KEY = AwsCredential(access_key_id="AKIAEXAMPLEEXAMPLE00", secret_access_key="x" * 40, account_id=ACCOUNT)
SIGNED = b"authorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLEEXAMPLE00/20261129/us-west-2/ivs/aws4_request\r\n"
"""The part of a signed request by which a node finds the account."""


class Leases:
    """The leases of all accounts, as the database has them."""

    def __init__(self) -> None:
        self.owners: dict[str, AccountOwner | None] = {}
        self.reads = 0

    async def read(self) -> Mapping[str, AccountOwner | None]:
        self.reads += 1
        return dict(self.owners)


class LocalLeases:
    """The accounts of one run. `can_acquire` is whether it may take accounts without an owner."""

    def __init__(self, leases: Leases, run_id: int) -> None:
        self._leases = leases
        self.run_id = run_id
        self.me: AccountOwner | None = None
        self.can_acquire = False
        self.acquired: list[str] = []

    def owns(self, account_id: str) -> bool:
        owner = self._leases.owners.get(account_id)
        return owner is not None and owner.run_id == self.run_id

    async def acquire(self, account_id: str) -> bool:
        if not self.can_acquire or self._leases.owners.get(account_id) is not None:
            return False
        self.acquired.append(account_id)
        self._leases.owners[account_id] = self.me
        return True


class Source(msgspec.Struct):
    """The directory that a node reads: the leases, or what a test says instead."""

    leases: Leases
    stale: Mapping[str, AccountOwner | None] | None = None

    async def owners(self) -> Mapping[str, AccountOwner | None]:
        found = await self.leases.read()
        if self.stale is None:
            return found
        stale, self.stale = self.stale, None
        return stale


class Node:
    """A node with its two servers."""

    def __init__(self, name: str, run_id: int, application: Application, leases: Leases) -> None:
        self.name = name
        self.local = LocalLeases(leases, run_id)
        self.source = Source(leases)
        self.skew_ms = 0
        self._application = application
        self.cluster = self._cluster()
        self.port = self.internal_port = 0
        self.server: HttpServer
        self.internal_server: HttpServer

    def _cluster(self) -> ClusterNode:
        return ClusterNode(
            self._application,
            identity=NodeIdentity(name=self.name, cluster_secret=SECRET),
            local=self.local,
            source=self.source,
            accounts=RequestAccounts(
                credentials=CredentialStore([KEY]),
                find_bearer_key=lambda _text: None,
                cookie=SessionCookie("http://127.0.0.1"),
                find_operation=lambda _method, path: path.decode().strip("/"),
            ),
            is_known=lambda account_id: account_id == ACCOUNT,
            now_ms=lambda: time.time_ns() // 1_000_000 + self.skew_ms,
            randomness=SystemRandomness(),
        )

    @property
    def owner(self) -> AccountOwner:
        """This node as the owner of an account."""
        return AccountOwner(
            node=self.name, run_id=self.local.run_id, internal_url=f"http://127.0.0.1:{self.internal_port}"
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve clients and the other nodes."""
        async with (
            running_server(self.cluster.internal_application) as (self.internal_server, self.internal_port),
            running_server(self.cluster.application) as (self.server, self.port),
        ):
            self.local.me = self.owner
            await self.cluster.start()
            try:
                yield
            finally:
                await self.cluster.stop()


class Cluster:
    """Two nodes. `second` owns ACCOUNT, and clients ask `first`."""

    def __init__(self, first: Application, second: Application) -> None:
        self.leases = Leases()
        self.first = Node("first", 1, first, self.leases)
        self.second = Node("second", 2, second, self.leases)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Cluster"]:
        """Run both nodes; both know the owner."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.second.running())
            self.leases.owners[ACCOUNT] = self.second.owner
            await stack.enter_async_context(self.first.running())
            try:
                yield self
            finally:
                # All at once: each server looks ten times a second.
                for node in (self.first, self.second):
                    node.server.should_exit = node.internal_server.should_exit = True


class Recorder:
    """An application that records requests and answers with `respond`."""

    def __init__(self, respond: Callable[[Scope, bytes], tuple[int, list[tuple[bytes, bytes]], bytes]]) -> None:
        self._respond = respond
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        self.scopes.append(dict(scope))
        self.bodies.append(body)
        status, headers, content = self._respond(scope, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Fail: no request may come here."""
    raise AssertionError("a request was served by the wrong node")


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.005)
