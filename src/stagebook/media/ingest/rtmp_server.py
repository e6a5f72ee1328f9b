"""The sessions of the encoders whose connections this process serves.

For each connection the server performs the TLS handshake if it is RTMPS, and runs an EncoderSession in a task of its
own. Decisions of the stage process (admit, refuse, close) are passed to the session that they are for.

Load is shed before it hurts. A connection costs little, but each published stream costs a share of the process's one
core (AAC to Opus, mostly), and a process without time left delays all streams. So an encoder is refused with a message,
before its key is looked at, if `max_streams` others publish or the process is overloaded (`load_meter`). Those that
publish notice nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.ingest.encoder_relay import RelayTarget
from stagebook.media.ingest.encoder_session import EncoderPeer, EncoderSession
from stagebook.media.ingest.encoder_socket import EncoderSocket, watch_for_loss
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.load_meter import INTERVAL_SECONDS, LoadMeter
from stagebook.media.ingest.tls_certificate import CertificatePair, tls_context
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import SERVER_FAULT, MediaFact, MediaRefusedError, RefusalReason

_CLOSED_DETAIL: Final = "the stream was ended by the server"
_OVERLOADED_DETAIL: Final = f"{SERVER_FAULT}: the server has no time left for another encoder stream; try again later"
_STOP_TIMEOUT_SECONDS: Final = 3.0
"""How long the sessions may take to end when the server stops."""

_log = structlog.get_logger(__name__)


class OnGone(Protocol):
    """Called once for each connection, when nothing of it is left."""

    def __call__(self, ask_id: str, *, was_shed: bool) -> None: ...


class RtmpServer:
    """Serves accepted connections."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        certificate: CertificatePair | None,
        on_fact: Callable[[MediaFact], None],
        on_gone: OnGone,
        on_overload: Callable[[bool], None],
        load: LoadMeter,
        clock: Callable[[], float],
    ) -> None:
        """`certificate` is that of RTMPS. `clock` is the event loop's. `on_overload` is called when the process becomes
        overloaded and when it no longer is."""
        self._settings = settings
        self._on_fact = on_fact
        self._on_gone = on_gone
        self._on_overload = on_overload
        self._load = load
        self._clock = clock
        self._certificate = certificate
        self._tls_context: ssl.SSLContext | None = None
        self._sessions: dict[str, EncoderSession] = {}
        """By ask id."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By ask id."""
        self._meter_task: asyncio.Task[None] | None = None
        self._log_limit = LogRateLimit(clock=clock)
        """For all lines that clients without a stream key can cause."""

    async def start(self) -> None:
        """Load the certificate and measure the load. Raises OSError if the certificate cannot be used."""
        if self._certificate is not None:
            self.use_certificate(self._certificate)
        self._meter_task = asyncio.create_task(self._measure_load())

    def use_certificate(self, certificate: CertificatePair) -> None:
        """Use a certificate for new connections of RTMPS. Open ones keep theirs. Raises OSError if it is unusable."""
        self._tls_context = tls_context(certificate)

    async def stop(self) -> None:
        """End all sessions. The encoders receive a message; no facts are reported."""
        if self._meter_task is not None:
            self._meter_task.cancel()
        for session in self._sessions.values():
            session.close("the server stops")
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_STOP_TIMEOUT_SECONDS)
        for task in self._tasks.values():
            task.cancel()

    def serve(self, accepted: socket.socket, *, ask_id: str, peer: EncoderPeer) -> None:
        """Serve a connection in a task, and report its end. `ask_id` is unique. The socket must not block."""
        self._tasks[ask_id] = task = asyncio.create_task(self._serve(accepted, ask_id, peer))
        task.add_done_callback(lambda _task: self._tasks.pop(ask_id))

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

    def refuse(self, *, ask_id: str, detail: str) -> None:
        """Refuse an encoder. Unknown ids are ignored."""
        session = self._sessions.get(ask_id)
        if session is not None:
            session.refuse(detail)

    def drop(self, *, ask_id: str) -> None:
        """Close a connection at once and without a message, unless it was admitted. Unknown ids are ignored."""
        session, task = self._sessions.get(ask_id), self._tasks.get(ask_id)
        if task is not None and (session is None or session.connection_id is None):
            task.cancel()

    def relay(self, target: RelayTarget, *, ask_id: str) -> None:
        """Let another node serve an encoder. Unknown ids are ignored."""
        session = self._sessions.get(ask_id)
        if session is not None:
            session.relay(target)

    def close(self, *, connection_id: str, detail: str = "") -> None:
        """End an admitted connection. The encoder receives `detail`. Unknown ids are ignored."""
        for session in self._sessions.values():
            if session.connection_id == connection_id:
                session.close(detail or _CLOSED_DETAIL)

    async def _serve(self, accepted: socket.socket, ask_id: str, peer: EncoderPeer) -> None:
        was_shed = False
        try:
            was_shed = await self._run_session(accepted, ask_id, peer)
        finally:
            self._on_gone(ask_id, was_shed=was_shed)

    async def _run_session(self, accepted: socket.socket, ask_id: str, peer: EncoderPeer) -> bool:
        """Serve a connection until its end. Returns whether its encoder was refused to shed load."""
        timeout = self._settings.connect_timeout_seconds
        publish_deadline = self._clock() + timeout
        watch_for_loss(accepted, silence_seconds=self._settings.silence_timeout_seconds)
        try:
            encoder_socket = await EncoderSocket.open(accepted, context=self._context(peer), timeout_seconds=timeout)
        except OSError as error:
            _log.debug("TLS handshake failed", remote_address=peer.address, detail=str(error))
            return False
        session = EncoderSession(
            encoder_socket,
            ask_id=ask_id,
            peer=peer,
            settings=self._settings,
            on_fact=self._on_fact,
            clock=self._clock,
            log_limit=self._log_limit,
            shed_detail=self._shed_detail,
        )
        self._sessions[ask_id] = session
        try:
            await session.run(publish_deadline=publish_deadline)
        finally:
            del self._sessions[ask_id]
            encoder_socket.abort()
        return session.was_shed

    async def _measure_load(self) -> None:
        was_overloaded = False
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            self._load.read()
            if self._load.is_overloaded is was_overloaded:
                continue
            was_overloaded = not was_overloaded
            self._on_overload(was_overloaded)
            message = "no time left: new encoders are refused" if was_overloaded else "new encoders are served again"
            if (more := self._log_limit.admit(message)) is not None:
                share, late = round(self._load.cpu_share, 2), self._load.late_readings
                _log.warning(message, streams=self._stream_count(), cpu_share=share, late_readings=late, **more)

    def _stream_count(self) -> int:
        """The number of encoders that are admitted and have not ended."""
        return sum(session.is_publishing for session in self._sessions.values())

    def _is_full(self) -> bool:
        """Whether as many encoders are admitted as may publish at the same time."""
        return self._stream_count() >= self._settings.max_streams

    def _shed_detail(self) -> str | None:
        """Why no further stream can be admitted now, or None."""
        if self._is_full():
            return f"{SERVER_FAULT}: {self._full_text}"
        return _OVERLOADED_DETAIL if self._load.is_overloaded else None

    @property
    def _full_text(self) -> str:
        limit = self._settings.max_streams
        return f"the server is at its limit of {limit} encoder streams per process; try again later"

    def _context(self, peer: EncoderPeer) -> ssl.SSLContext | None:
        return self._tls_context if peer.is_secure and not peer.is_relayed else None
