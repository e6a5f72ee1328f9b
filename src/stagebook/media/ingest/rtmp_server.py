"""The listening sockets of RTMP and RTMPS: who is taken in, and which session a verdict is for.

Knows no RTMP; what a connection says is its session's.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from stagebook.media.ingest.connection_limits import SHUT_OUT_SECONDS, Connections
from stagebook.media.ingest.encoder_session import Remote, Session
from stagebook.media.ingest.encoder_socket import EncoderSocket, watch_for_loss
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.tls_certificate import Certificate
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaFact, MediaRefusedError, RefusalReason

_ACCEPT_RETRY_SECONDS: Final = 0.5
_TURNED_AWAY_INTERVAL_SECONDS: Final = 10.0
"""How often connections that are turned away get a line in the log."""
_ENDED: Final = "the stream was ended by the server"
_STOP_SECONDS: Final = 3.0
"""How long encoders have to read that the server stops."""

_log = structlog.get_logger(__name__)


class IngestServer:
    """Serves encoders on sockets that listen. `new_id` makes names that were never given before."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        rtmp: socket.socket | None,
        rtmps: socket.socket | None,
        hear: Callable[[MediaFact], None],
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._rtmp = rtmp
        self._rtmps = rtmps
        self._hear = hear
        self._clock = clock
        self._new_id = new_id
        self._certificate: Certificate | None = None
        self._connections = Connections(
            max_connections=settings.max_connections,
            max_per_network=settings.max_connections_per_address,
            shared_networks=settings.shared_networks,
            clock=clock,
        )
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: list[asyncio.Task[None]] = []
        self._turned_away = 0
        self._turned_away_told_at = -_TURNED_AWAY_INTERVAL_SECONDS

    async def start(self) -> None:
        """Begin to accept. Raises OSError if the certificate cannot be used."""
        if self._rtmps is not None:
            paths = (self._settings.certificate_path, self._settings.private_key_path)
            self._certificate = Certificate(*paths, clock=self._clock)
        for listener, is_secure in ((self._rtmp, False), (self._rtmps, True)):
            if listener is not None:
                listener.setblocking(False)  # noqa: FBT003 - the standard library's
                self._accepting.append(asyncio.create_task(self._accept(listener, is_secure=is_secure)))

    async def stop(self) -> None:
        """Accept nothing more, and tell every encoder that the server stops. No facts are told."""
        for task in self._accepting:
            task.cancel()
        for session in self._sessions.values():
            session.close("the server stops")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        for task in self._tasks:
            task.cancel()

    def admit(self, *, ask_id: str, connection_id: str, ticket: FeedTicket) -> None:
        """Let the encoder that asked publish. Raises MediaRefusedError (UNKNOWN_CONNECTION)."""
        session = self._sessions.get(ask_id)
        if session is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="the encoder is gone")
        session.admit(connection_id, ticket)

    def refuse(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """Refuse the encoder that asked, and count a wrong key. Unknown ids are fine."""
        session = self._sessions.get(ask_id)
        if session is None or not session.refuse(detail) or not is_wrong_key:
            return
        network = self._connections.counted_as(session.remote.address)
        if self._connections.refuse(network):
            seconds = SHUT_OUT_SECONDS
            _log.warning("too many wrong stream keys; not listened to", network=network, seconds=seconds)

    def close(self, *, connection_id: str, detail: str = "") -> None:
        """End a connection that was admitted, and tell the encoder why. Unknown ids are fine."""
        for session in self._sessions.values():
            if session.connection_id == connection_id:
                session.close(detail or _ENDED)

    async def _accept(self, listener: socket.socket, *, is_secure: bool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:  # no descriptors left, most likely; or the peer was gone again
                _log.warning("a connection of an encoder cannot be accepted", detail=error.strerror)
                await asyncio.sleep(_ACCEPT_RETRY_SECONDS)
                continue
            self._take(accepted, Remote(address=address[0], is_secure=is_secure))

    def _take(self, accepted: socket.socket, remote: Remote) -> None:
        """Serve a new connection in a task of its own, or turn it away before it costs anything."""
        network = self._connections.counted_as(remote.address)
        reason = self._connections.why_not(network)
        if reason is not None:
            accepted.close()
            self._tell_turned_away(network, reason)
            return
        self._connections.open(network)
        task = asyncio.create_task(self._serve(accepted, remote))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._connections.close(network))

    async def _serve(self, accepted: socket.socket, remote: Remote) -> None:
        seconds = self._settings.connect_timeout_seconds
        ask_until = self._clock() + seconds
        watch_for_loss(accepted, silence_seconds=self._settings.silence_timeout_seconds)
        try:
            wire = await EncoderSocket.open(accepted, context=self._context(remote), timeout_seconds=seconds)
        except OSError as error:
            _log.debug("no TLS connection came to be", remote_address=remote.address, detail=str(error))
            return
        session = Session(
            wire,
            ask_id=self._new_id(),
            remote=remote,
            settings=self._settings,
            hear=self._hear,
            clock=self._clock,
        )
        self._sessions[session.ask_id] = session
        try:
            await session.run(ask_until=ask_until)
        finally:
            del self._sessions[session.ask_id]
            wire.abort()

    def _context(self, remote: Remote) -> ssl.SSLContext | None:
        return self._certificate.context() if remote.is_secure and self._certificate else None

    def _tell_turned_away(self, network: str, reason: str) -> None:
        self._turned_away += 1
        now = self._clock()
        if now - self._turned_away_told_at >= _TURNED_AWAY_INTERVAL_SECONDS:
            self._turned_away_told_at = now
            _log.warning("connections are turned away", count=self._turned_away, network=network, reason=reason)
            self._turned_away = 0
