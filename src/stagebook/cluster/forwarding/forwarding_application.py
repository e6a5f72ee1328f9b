"""The ASGI application in front of the router: it serves what this node can answer, and sends on the rest.

    request -> account -> this node owns it, or any node can serve it  -> the router of this node
                       -> another node owns it                         -> that node's internal server, one hop
                       -> nobody owns it                               -> this node takes it, or 503 after 5 seconds

A request is sent to a second node only if the first one refused it as not its own (421), or could not be reached. If
the connection to an owner is lost after that, the request may have been carried out, and the client is told so by a
503: it alone knows whether a repetition does harm.

The limits on clients are those of the node that they asked: connections, sizes, times. What an owner limits by the
address of the client, it limits by the address that the signed header field gives (`forwarding_seal`).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from stagebook.api.asgi import Application, Message, Receive, Scope, Send
from stagebook.api.aws.request_ids import RequestIds
from stagebook.api.http_body import BodyReader, BodyTimeoutError, BodyTooLargeError, ClientDisconnectedError
from stagebook.api.watch.live_tail.event_stream import EVENT_STREAM_PATH
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.forwarding import refusals
from stagebook.cluster.forwarding.forwarding_seal import ForwardingSeal
from stagebook.cluster.forwarding.http_forwarding import KeptBytes, LinkRefusedError, RepeatableBody, forward
from stagebook.cluster.forwarding.owner_connection import OwnerLostError
from stagebook.cluster.forwarding.owner_connections import OwnerPool, OwnerUnreachableError, TooManyForwardedError
from stagebook.cluster.forwarding.websocket_tunnel import TunnelCounts, open_tunnel
from stagebook.cluster.owner_search import NoOwnerError, OwnerSearch
from stagebook.cluster.request_account import RequestAccounts
from stagebook.log_rate_limit import LogRateLimit
from stagebook.stage.errors import ServerBusyError

BODY_TIMEOUT_SECONDS: Final = 5.0
"""For the few bodies that name the account."""
FORGET_SECONDS: Final = 5.0
"""Longer than a lease and its recovery: by then, another run has the accounts of one that is dead."""
_log = structlog.get_logger(__name__)


class ForwardingCounts(msgspec.Struct, kw_only=True):
    """What a node has sent on since its start."""

    requests: int = 0
    websockets: int = 0
    misdirected: int = 0
    """Answers of a node that was not the owner."""
    unreachable: int = 0
    """Connections that could not be opened."""
    lost: int = 0
    """Requests whose owner ended before it responded."""
    without_owner: int = 0
    """Requests that were refused because no node had the account in time."""


class ForwardingApplication:
    """The application. `application` is the router of this node, `node` the node's name."""

    def __init__(
        self,
        application: Application,
        *,
        accounts: RequestAccounts,
        search: OwnerSearch,
        seal: ForwardingSeal,
        node: str,
        request_ids: RequestIds,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._application = application
        self._accounts = accounts
        self._search = search
        self._seal = seal
        self._node = node
        self._request_ids = request_ids
        self._bodies = BodyReader(timeout_seconds=BODY_TIMEOUT_SECONDS)
        self._kept = KeptBytes()
        self._monotonic = monotonic
        self._missing_since: dict[int, float] = {}
        self._is_closed = False
        self._waited_for = 0
        """Requests that `drain` waits for."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._pools: dict[int, OwnerPool] = {}
        self._log_limit = LogRateLimit(clock=monotonic)
        self.tunnels = TunnelCounts()
        self.counts = ForwardingCounts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or websocket."""
        body = None
        limit_bytes = self._accounts.body_limit_bytes(scope)
        if limit_bytes is None:
            account_id = self._accounts.account_of(scope)
        else:
            account_id, body = await self._account_in_body(scope, receive, limit_bytes)
        if account_id is None or not self._search.exists(account_id):
            await self._application(scope, receive if body is None else body.for_router(), send)
        else:
            body = body or RepeatableBody(receive, self._kept)
            try:
                await self._serve(scope, body, send, account_id)
            finally:
                body.forget()

    def forget_runs(self, alive: frozenset[int], *, replaced: frozenset[int]) -> None:
        """End the connections to runs that are over: those whose accounts others own (`replaced`), and those that have
        owned nothing for FORGET_SECONDS. Their requests fail at once.

        `alive` are the runs that own an account. After an outage of the database, all look dead for a moment.
        """
        for run_id in replaced:
            self._forget(run_id)
        now = self._monotonic()
        used = self._pools.keys() | self.tunnels.run_ids()
        self._missing_since = {run_id: self._missing_since.get(run_id, now) for run_id in used - alive}
        for run_id, since in self._missing_since.items():
            if now - since >= FORGET_SECONDS:
                self._forget(run_id)

    async def drain(self, *, timeout_seconds: float) -> bool:
        """Send on no further request, and wait until those in progress have ended; return whether that was in time.

        Websockets and event streams are not waited for.
        """
        self._is_closed = True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """End all connections to owners."""
        for run_id in self._pools.keys() | self.tunnels.run_ids():
            self._forget(run_id)

    def _forget(self, run_id: int) -> None:
        if (pool := self._pools.pop(run_id, None)) is not None:
            pool.close()
        self.tunnels.end_run(run_id)

    @property
    def in_progress(self) -> int:
        """HTTP requests that are being sent on."""
        return sum(pool.in_progress for pool in self._pools.values())

    async def _account_in_body(
        self, scope: Scope, receive: Receive, limit_bytes: int
    ) -> tuple[str | None, RepeatableBody]:
        """Return the account in the body, and the messages with the body. This node refuses a body that is too large,
        or does not arrive."""
        messages: list[Message] = []

        async def observe() -> Message:
            messages.append(await receive())
            return messages[-1]

        account_id = None
        try:
            data = await self._bodies.read(observe, max_size_bytes=limit_bytes)
            account_id = self._accounts.account_in_body(scope, data)
        except (BodyTooLargeError, BodyTimeoutError, ClientDisconnectedError, ServerBusyError):
            pass
        return account_id, RepeatableBody(receive, self._kept, messages)

    async def _serve(self, scope: Scope, body: RepeatableBody, send: Send, account_id: str) -> None:
        deadline = self._search.deadline()
        try:
            owner = await self._search.find(account_id, deadline=deadline)
            while owner is not None:
                if await self._is_served_by(owner, scope, body, send, account_id):
                    return
                if not body.rewind():
                    raise NoOwnerError
                owner = await self._search.wait(account_id, deadline=deadline, refused_by=owner.run_id)
        except NoOwnerError:
            self.counts.without_owner += 1
            await self._refuse(scope, send, self._reason_without_owner(account_id))
        except TooManyForwardedError:
            await self._refuse(scope, send, refusals.TOO_MANY)
        except OwnerLostError:
            self.counts.lost += 1
            await self._refuse(scope, send, refusals.OWNER_LOST)
        except LinkRefusedError:
            if (more := self._log_limit.admit("link")) is not None:
                _log.error("another node refuses the requests of this one: give both the same cluster_secret", **more)
            await self._refuse(scope, send, refusals.LINK_REFUSED)
        else:
            await self._application(scope, body.for_router(), send)

    def _reason_without_owner(self, account_id: str) -> str:
        owner = self._search.known_owner(account_id)
        if owner is None or owner.internal_url:
            return refusals.NO_OWNER
        if (more := self._log_limit.admit("internal server")) is not None:
            _log.error("an account belongs to a node without internal_listen", node=owner.node, **more)
        return refusals.NO_INTERNAL_SERVER

    async def _is_served_by(
        self, owner: AccountOwner, scope: Scope, body: RepeatableBody, send: Send, account_id: str
    ) -> bool:
        """Send a request to a node; return False if that is not the owner, or cannot be reached."""
        if self._is_closed:
            raise NoOwnerError
        facts = self._seal.facts(scope, account_id=account_id, run_id=owner.run_id, node=self._node)
        seal = self._seal.sign(scope, facts)
        try:
            if scope["type"] == "websocket":
                self.counts.websockets += 1
                is_served = await open_tunnel(scope, owner, self.tunnels, seal=seal)
            else:
                self.counts.requests += 1
                is_served = await self._forward(owner, scope, body, send, seal)
        except OwnerUnreachableError:
            self.counts.unreachable += 1
            return False
        self.counts.misdirected += not is_served
        return is_served

    async def _forward(self, owner: AccountOwner, scope: Scope, body: RepeatableBody, send: Send, seal: bytes) -> bool:
        pool = self._pools.get(owner.run_id)
        if pool is None:
            pool = self._pools[owner.run_id] = OwnerPool(owner)
        connection = await pool.take()
        counted = scope["path"] != EVENT_STREAM_PATH
        self._count_in_progress(counted)
        try:
            return await forward(scope, body, send, connection, seal=seal)
        finally:
            self._count_in_progress(-counted)
            pool.give_back(connection)

    def _count_in_progress(self, change: int) -> None:
        self._waited_for += change
        (self._idle.clear if self._waited_for else self._idle.set)()

    async def _refuse(self, scope: Scope, send: Send, message: str) -> None:
        await refusals.send_unavailable(scope, send, message, request_ids=self._request_ids)
