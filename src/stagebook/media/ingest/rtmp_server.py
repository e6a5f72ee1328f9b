"""The listening sockets of RTMP and RTMPS, and the sessions of the connected encoders.

For each accepted connection the server checks the connection limits, performs the TLS handshake for RTMPS, and runs an
EncoderSession in a task of its own. Decisions of the stage process (admit, refuse, close) are passed to the session
that they are for.

Load is shed before it hurts. A connection costs little, but each published stream costs a share of the process's one
core (AAC to Opus, mostly), and a process without time left delays all streams. So the number of streams has a limit of
its own, below that of connections: an encoder above it is refused with a message, and those that publish notice
nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.ingest.connection_limits import BLOCK_SECONDS, ConnectionLimits
from stagebook.media.ingest.encoder_session import EncoderPeer, EncoderSession
from stagebook.media.ingest.encoder_socket import EncoderSocket, watch_for_loss
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.tls_certificate import CertificatePair, tls_context
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import SERVER_FAULT, MediaFact, MediaRefusedError, RefusalReason

_ACCEPT_RETRY_SECONDS: Final = 0.5
_CLOSED_DETAIL: Final = "the stream was ended by the server"
_STOP_TIMEOUT_SECONDS: Final = 3.0
"""How long the sessions may take to end when the server stops."""

_log = structlog.get_logger(__name__)


class RtmpServer:
    """Serves encoders on listening sockets, which it does not close."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        rtmp: socket.socket | None,
        rtmps: socket.socket | None,
        certificate: CertificatePair | None,
        on_fact: Callable[[MediaFact], None],
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        """`certificate` is that of RTMPS. `clock` is the event loop's. `new_id` returns a unique ask id for each
        connection."""
        self._settings = settings
        self._rtmp = rtmp
        self._rtmps = rtmps
        self._on_fact = on_fact
        self._clock = clock
        self._new_id = new_id
        self._certificate = certificate
        self._tls_context: ssl.SSLContext | None = None
        self._limits = ConnectionLimits(
            max_connections=settings.max_connections,
            max_per_network=settings.max_connections_per_address,
            shared_networks=settings.shared_networks,
            clock=clock,
        )
        self._sessions: dict[str, EncoderSession] = {}
        """By ask id."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._accept_tasks: list[asyncio.Task[None]] = []
        self._log_limit = LogRateLimit(clock=clock)
        """For all lines that clients without a stream key can cause."""

    async def start(self) -> None:
        """Load the certificate and accept connections. Raises OSError if the certificate cannot be used."""
        if self._certificate is not None:
            self.use_certificate(self._certificate)
        for listener, is_secure in ((self._rtmp, False), (self._rtmps, True)):
            if listener is not None:
                listener.setblocking(False)  # noqa: FBT003 - the standard library's
                self._accept_tasks.append(asyncio.create_task(self._accept(listener, is_secure=is_secure)))

    def use_certificate(self, certificate: CertificatePair) -> None:
        """Use a certificate for new connections of RTMPS. Open ones keep theirs. Raises OSError if it is unusable."""
        self._tls_context = tls_context(certificate)

    async def stop(self) -> None:
        """Stop accepting connections and end all sessions. The encoders receive a message; no facts are reported.

        The listening sockets stay open, so encoders that connect now wait in their accept queues for the next run of
        the process.
        """
        for task in self._accept_tasks:
            task.cancel()
        for session in self._sessions.values():
            session.close("the server stops")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT_SECONDS)
        for task in self._tasks:
            task.cancel()

    def admit(self, *, ask_id: str, connection_id: str, ticket: FeedTicket) -> None:
        """Let an encoder publish to the feed of `ticket`.

        Raises MediaRefusedError: UNKNOWN_CONNECTION if it is gone or does not wait for the decision, BUSY if
        `max_streams` encoders have been admitted while it waited.
        """
        session = self._sessions.get(ask_id)
        if session is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="the encoder is gone")
        if self._is_full():
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail=self._full_text)
        session.admit(connection_id, ticket)

    def refuse(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """Refuse an encoder, and count a wrong key against its network. Unknown ids are ignored."""
        session = self._sessions.get(ask_id)
        if session is None or not session.refuse(detail) or not is_wrong_key:
            return
        network = self._limits.network_key(session.peer.address)
        if self._limits.add_refusal(network):
            self._log_limited("too many wrong stream keys; network blocked", network=network, seconds=BLOCK_SECONDS)

    def close(self, *, connection_id: str, detail: str = "") -> None:
        """End an admitted connection. The encoder receives `detail`. Unknown ids are ignored."""
        for session in self._sessions.values():
            if session.connection_id == connection_id:
                session.close(detail or _CLOSED_DETAIL)

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
            self._start_session(accepted, EncoderPeer(address=address[0], is_secure=is_secure))

    def _start_session(self, accepted: socket.socket, peer: EncoderPeer) -> None:
        """Serve a new connection in a task, or close it at once if a limit is reached."""
        network = self._limits.network_key(peer.address)
        reason = self._limits.refusal_reason(network)
        if reason is not None:
            accepted.close()
            self._log_limited("connection refused", network=network, reason=reason)
            return
        self._limits.add_connection(network)
        task = asyncio.create_task(self._serve(accepted, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._limits.remove_connection(network))

    async def _serve(self, accepted: socket.socket, peer: EncoderPeer) -> None:
        timeout = self._settings.connect_timeout_seconds
        publish_deadline = self._clock() + timeout
        watch_for_loss(accepted, silence_seconds=self._settings.silence_timeout_seconds)
        try:
            encoder_socket = await EncoderSocket.open(accepted, context=self._context(peer), timeout_seconds=timeout)
        except OSError as error:
            _log.debug("TLS handshake failed", remote_address=peer.address, detail=str(error))
            return
        session = EncoderSession(
            encoder_socket,
            ask_id=self._new_id(),
            peer=peer,
            settings=self._settings,
            on_fact=self._on_fact,
            clock=self._clock,
            log_limit=self._log_limit,
            full_detail=self._full_detail,
        )
        self._sessions[session.ask_id] = session
        try:
            await session.run(publish_deadline=publish_deadline)
        finally:
            del self._sessions[session.ask_id]
            encoder_socket.abort()

    def _is_full(self) -> bool:
        """Whether as many encoders are admitted as may publish at the same time."""
        return sum(session.is_publishing for session in self._sessions.values()) >= self._settings.max_streams

    def _full_detail(self) -> str | None:
        return f"{SERVER_FAULT}: {self._full_text}" if self._is_full() else None

    @property
    def _full_text(self) -> str:
        return f"the server is at its limit of {self._settings.max_streams} encoder streams; try again later"

    def _context(self, peer: EncoderPeer) -> ssl.SSLContext | None:
        return self._tls_context if peer.is_secure else None

    def _log_limited(self, message: str, **fields: str | float | None) -> None:
        """Log a line that any client can cause."""
        if (more := self._log_limit.admit(message)) is not None:
            _log.warning(message, **fields, **more)
