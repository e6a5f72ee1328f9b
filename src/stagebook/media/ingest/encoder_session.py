"""One encoder's connection from its first byte to its last: asked, admitted or refused, streamed, ended.

Who may publish is decided elsewhere. Before the admission nothing is told but the ask: a stranger who fails leaves a
line in the log.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
import structlog

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.encoder_socket import EncoderSocket, NotReadError
from stagebook.media.ingest.encoder_stream import Stream
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.stream_end import LEFT, EndedError, Ending, ending_of
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import CloseCause, IngestAsked, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_events import AudioMessage, PublishReceived, RtmpEvent, Unpublished, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

VERDICT_SECONDS: Final = 30.0
"""How long the decision may take. Whoever decides answers at once or is in trouble."""

_log = structlog.get_logger(__name__)


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the other end."""

    address: str
    is_secure: bool


class _Admission(msgspec.Struct, frozen=True, kw_only=True):
    connection_id: str
    ticket: FeedTicket


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    detail: str


_Verdict: TypeAlias = _Admission | _Refusal


class Session:
    """One connection. `ask_id` is the name under which it asks; `clock` is the event loop's."""

    def __init__(
        self,
        wire: EncoderSocket,
        *,
        ask_id: str,
        remote: Remote,
        settings: IngestSettings,
        hear: Callable[[MediaFact], None],
        clock: Callable[[], float],
    ) -> None:
        self.ask_id = ask_id
        self.remote = remote
        self.connection_id: str | None = None
        self._wire = wire
        self._settings = settings
        self._hear = hear
        self._clock = clock
        self._rtmp = RtmpConnection(_rtmp_limits(settings))
        self._verdict: asyncio.Future[_Verdict] | None = None
        self._stream: Stream | None = None
        self._told_to_end: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    async def run(self, *, ask_until: float) -> None:
        """Serve the connection until its end. The stream key must be named before `ask_until`."""
        living = asyncio.create_task(self._live(ask_until))
        try:
            await asyncio.wait((living, self._told_to_end), return_when=asyncio.FIRST_COMPLETED)
            ending = self._told_to_end.result() if self._told_to_end.done() else living.result()
        finally:
            living.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await living
        await self._end(ending)

    def admit(self, connection_id: str, ticket: FeedTicket) -> None:
        """Let the encoder publish into a feed. Raises MediaRefusedError (UNKNOWN_CONNECTION) if it does not wait."""
        if self._verdict is None or self._verdict.done() or self._told_to_end.done() or self._wire.is_gone:
            raise MediaRefusedError(
                reason=RefusalReason.UNKNOWN_CONNECTION, detail="the encoder does not wait any more"
            )
        self.connection_id = connection_id
        self._verdict.set_result(_Admission(connection_id=connection_id, ticket=ticket))

    def refuse(self, detail: str) -> bool:
        """Refuse the encoder. Returns whether it waited for that."""
        if self._verdict is None or self._verdict.done():
            return False
        self._verdict.set_result(_Refusal(detail=detail))
        return True

    def close(self, detail: str) -> None:
        """End the connection; no fact is told of it."""
        if not self._told_to_end.done():
            self._told_to_end.set_result(Ending(detail=detail))

    async def _live(self, ask_until: float) -> Ending:
        try:
            asked = await self._until_asked(ask_until)
            match await self._decision(asked):
                case _Refusal() as refusal:
                    self._rtmp.refuse_publish(refusal.detail)
                    return Ending(detail=refusal.detail)
                case _Admission() as admission:
                    return await self._publish(admission)
        except Exception as error:  # noqa: BLE001 - every one is the end of this connection, and of nothing else
            return ending_of(error)

    async def _until_asked(self, ask_until: float) -> PublishReceived:
        late = Ending(detail=f"no stream key was named in {self._settings.connect_timeout_seconds:g} s")
        while not (events := await self._read(ask_until, lambda: late)):
            pass
        asked = events[0]
        if not isinstance(asked, PublishReceived) or len(events) > 1:
            raise EndedError(LEFT)  # what comes with the ask can only be the encoder's taking it back
        return asked

    async def _decision(self, asked: PublishReceived) -> _Verdict:
        """Ask, and wait for the verdict. What the encoder sends meanwhile stays in its socket."""
        self._verdict = asyncio.get_running_loop().create_future()
        self._hear(
            IngestAsked(
                ask_id=self.ask_id,
                stream_key=asked.stream_key,
                is_secure=self.remote.is_secure,
                remote_address=self.remote.address,
            )
        )
        try:
            async with asyncio.timeout(VERDICT_SECONDS):
                return await self._verdict
        except TimeoutError:
            # With a cause: who was let in at the last moment must be told of as ended.
            detail = "the server did not decide in time; try again"
            raise EndedError(Ending(detail=detail, cause=CloseCause.ENGINE_LOST)) from None

    async def _publish(self, admission: _Admission) -> Ending:
        self._rtmp.accept_publish()
        self._stream = stream = Stream(admission.ticket, self._settings, clock=self._clock)
        events = self._rtmp.receive(b"")  # what came before the verdict
        self._send()
        _log.info("an encoder publishes", connection_id=admission.connection_id, remote_address=self.remote.address)
        while True:
            for event in events:
                match event:
                    case VideoMessage():
                        await stream.take(MediaKind.VIDEO, timestamp_ms=event.timestamp_ms, payload=event.payload)
                    case AudioMessage():
                        await stream.take(MediaKind.AUDIO, timestamp_ms=event.timestamp_ms, payload=event.payload)
                    case Unpublished():
                        return LEFT
            events = await self._read(stream.deadline, stream.late)

    async def _read(self, deadline: float, late: Callable[[], Ending]) -> list[RtmpEvent]:
        """What the encoder says next. Raises EndedError with `late` if it says nothing until the deadline."""
        try:
            async with asyncio.timeout_at(deadline) as timeouts:
                data = await self._wire.read()
        except TimeoutError:
            if not timeouts.expired():
                raise
            raise EndedError(late()) from None
        if not data:
            raise EndedError(LEFT)
        events = self._rtmp.receive(data)
        self._send()
        return events

    def _send(self) -> None:
        if data := self._rtmp.data_to_send():
            self._wire.write(data)

    async def _end(self, ending: Ending) -> None:
        """Tell of the end, first the owner and then the encoder, and leave nothing open."""
        self._log_end(ending)
        if self._stream is not None:
            self._stream.close()
        if self.connection_id is not None and (fact := ending.fact(self.connection_id)):
            self._hear(fact)
        if ending.is_encoder_there:
            self._rtmp.end(ending.words)
        with contextlib.suppress(NotReadError):
            self._send()
        await self._wire.finish()

    def _log_end(self, ending: Ending) -> None:
        # Whoever only knocks, a health check or a scanner, is not worth a line.
        is_news = self.connection_id is not None or ending.is_encoder_there
        _log.log(
            logging.INFO if is_news else logging.DEBUG,
            "an encoder's connection ended",
            connection_id=self.connection_id,
            remote_address=self.remote.address,
            detail=ending.detail,
        )


def _rtmp_limits(settings: IngestSettings) -> RtmpLimits:
    usual = RtmpLimits()
    size = settings.max_message_bytes
    return RtmpLimits(max_message_bytes=size, max_incomplete_bytes=max(2 * size, usual.max_incomplete_bytes))
