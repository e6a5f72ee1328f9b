"""The listening sockets of RTMP and RTMPS in the server process: accept, count, hand over.

Nothing is read from a connection here. A connection above a limit costs an `accept` and a `close`. Connections are
accepted at MAX_ACCEPTS_PER_SECOND at most, so a flood of them costs the server a bounded share of its time; the others
wait in the sockets' accept queues, also while no ingest process can take one, for example during a restart.

At the limit of all, a connection that has not been admitted makes room: the oldest one of the network that has the most
of them, and more than one. So a client that opens connections from some networks and sends no stream key does not keep
the encoders out.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Final

import structlog

from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.ingest.processes.connection_handover import HandedConnection
from stagebook.media.ingest.processes.connection_limits import BLOCK_SECONDS, ConnectionLimits
from stagebook.media.ingest.read_pacing import CountPace

MAX_ACCEPTS_PER_SECOND: Final = 500
"""Each takes less than 0.1 ms of the server's time. One second's worth may arrive at once."""
_ACCEPT_RETRY_SECONDS: Final = 0.5
_HANDOVER_RETRY_SECONDS: Final = 0.01
_DROP_CHECKS: Final = 50
_DROP_CHECK_SECONDS: Final = 0.01
"""How often, and in which interval, is checked whether a dropped connection is gone. An ingest process takes some
milliseconds."""

_log = structlog.get_logger(__name__)


class ConnectionAcceptor:
    """Accepts connections within the limits. It does not close the listening sockets."""

    def __init__(
        self,
        *,
        rtmp: socket.socket | None,
        rtmps: socket.socket | None,
        limits: ConnectionLimits,
        hand_over: Callable[[HandedConnection, socket.socket], bool],
        drop: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """`hand_over` takes a connection over, or returns False if that is not possible at present. `drop` closes the
        one with an ask id, unless it was admitted; `end` is called when it is gone. `clock` returns monotonic
        seconds."""
        self._listeners = ((rtmp, False), (rtmps, True))
        self._limits = limits
        self._hand_over = hand_over
        self._drop = drop
        self._clock = clock
        self._ask_ids = map(str, count(1))
        self._network_of: dict[str, str] = {}
        """The networks of the open connections, by ask id."""
        self._unadmitted: dict[str, str] = {}
        """The same for those that have not been admitted and that no other node relays, oldest first."""
        self._pace = CountPace(max_per_second=MAX_ACCEPTS_PER_SECOND)
        self._relayed: set[str] = set()
        """The ask ids of the open connections that other nodes relay."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._log_limit = LogRateLimit(clock=clock)

    def start(self) -> None:
        """Accept connections from now on."""
        for listener, is_secure in self._listeners:
            if listener is not None:
                listener.setblocking(False)  # noqa: FBT003 - the standard library's
                self._tasks.add(asyncio.create_task(self._accept(listener, is_secure=is_secure)))

    def take_relayed(self, connection: socket.socket, *, address: str, is_secure: bool) -> None:
        """Hand over a connection on which another node relays the encoder at `address`. The limits hold for it, too."""
        task = asyncio.create_task(self._take_relayed(connection, address, is_secure=is_secure))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def is_relayed(self, ask_id: str) -> bool:
        """Return whether another node relays an open connection."""
        return ask_id in self._relayed

    async def stop(self) -> None:
        """Accept no more connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def end(self, ask_id: str) -> None:
        """A connection that was handed over has ended. Unknown ids are ignored."""
        self._relayed.discard(ask_id)
        self._unadmitted.pop(ask_id, None)
        network = self._network_of.pop(ask_id, None)
        if network is not None:
            self._limits.remove_connection(network)

    def keep(self, ask_id: str) -> None:
        """An open connection is being admitted: it is not dropped any more. Unknown ids are ignored."""
        self._unadmitted.pop(ask_id, None)

    def add_wrong_key(self, ask_id: str) -> None:
        """An open connection has sent a wrong stream key: count it against its network. Unknown ids are ignored."""
        network = self._network_of.get(ask_id)
        if network is not None and self._limits.add_refusal(network):
            self._log_limited("too many wrong stream keys; network blocked", network=network, seconds=BLOCK_SECONDS)

    async def _accept(self, listener: socket.socket, *, is_secure: bool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                # The process has no free file descriptors, or the client has already reset the connection. Without the
                # pause, the former would be a busy loop, since the socket stays readable.
                self._log_limited("cannot accept an encoder's connection", detail=error.strerror)
                await asyncio.sleep(_ACCEPT_RETRY_SECONDS)
                continue
            try:
                with accepted:
                    await self._admit(accepted, address[0], is_secure=is_secure)
            except Exception:  # noqa: BLE001 - an error with one connection must not end all others
                self._log_limited("a connection could not be handed over", exc_info=True)
            # At least one turn of the event loop: `sock_accept` may return without one.
            await asyncio.sleep(self._pace.pause_seconds(now=self._clock()))

    async def _take_relayed(self, connection: socket.socket, address: str, *, is_secure: bool) -> None:
        with connection:
            await self._admit(connection, address, is_secure=is_secure, is_relayed=True)

    async def _admit(self, accepted: socket.socket, address: str, *, is_secure: bool, is_relayed: bool = False) -> None:
        """Hand over a connection that is within the limits. The caller closes the server's descriptor of it."""
        network = self._limits.network_key(address)
        reason = self._limits.refusal_reason(network)
        if reason is None and self._limits.total_reason is not None:
            await self._make_room()
            reason = self._limits.total_reason
        if reason is not None:
            self._log_limited("connection refused", network=network, reason=reason)
            return
        connection = HandedConnection(
            ask_id=next(self._ask_ids), address=address, is_secure=is_secure, is_relayed=is_relayed
        )
        if is_relayed:
            self._relayed.add(connection.ask_id)
        else:
            self._unadmitted[connection.ask_id] = network
        self._limits.add_connection(network)
        self._network_of[connection.ask_id] = network
        try:
            is_waiting = False
            while not self._hand_over(connection, accepted):
                if not is_waiting:
                    is_waiting = True
                    self._log_limited("no ingest process can take a connection at present; encoders wait")
                await asyncio.sleep(_HANDOVER_RETRY_SECONDS)
        except BaseException:
            self.end(connection.ask_id)
            raise

    async def _make_room(self) -> None:
        """Drop a connection, if there is one to be dropped, and wait until it is gone."""
        ((network, count),) = Counter(self._unadmitted.values()).most_common(1) or [("", 0)]
        if count < 2:
            return
        ask_id = next(ask_id for ask_id, owner in self._unadmitted.items() if owner == network)
        self._log_limited("connection dropped for another one", network=network, connections=count)
        self._drop(ask_id)
        for _ in range(_DROP_CHECKS):
            if ask_id not in self._network_of:
                return
            await asyncio.sleep(_DROP_CHECK_SECONDS)

    def _log_limited(self, message: str, **fields: str | float | None) -> None:
        """Log a line that any client can cause."""
        if (more := self._log_limit.admit(message)) is not None:
            _log.warning(message, **fields, **more)
