"""One encoder's connection, from its first byte to its last.

    CONNECTING --publish--> WAITING --admit--> PUBLISHING --+
        |                      |                            |
        |                      +--refuse, timeout-----------+--> ENDED
        |                      +--relay--> RELAYED ---------+
        +--timeout, error, load is shed-------------------->+

* CONNECTING: the RTMP handshake and the commands up to `publish`, which names the stream key.
* WAITING: the session has reported IngestAsked. The server decides with `admit`, `refuse` or `relay`. The socket is not
  read.
* RELAYED: another node serves the encoder (`encoder_relay`). If it does not take it, the server is asked again.
* PUBLISHING: media goes through an EncoderStream to the engine.

How a connection ended is one value, a StreamEnd. A connection that was never admitted ends without a fact: the log is
the only trace of clients without a valid stream key.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.encoder_admission import Admission, Decision, EncoderAdmission, Refusal
from stagebook.media.ingest.encoder_relay import AnsweredBytes, RelayRefusedError, RelayTarget, relay_encoder
from stagebook.media.ingest.encoder_socket import EncoderSocket, NotReadError
from stagebook.media.ingest.encoder_stream import EncoderStream
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.read_pacing import MAX_MESSAGES_PER_SECOND, CountPace
from stagebook.media.ingest.stream_end import ENCODER_LEFT, RELAY_ENDED, StreamEnd, StreamEndedError, stream_end_of
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import SERVER_FAULT, IngestAsked, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_events import AudioMessage, PublishReceived, RtmpEvent, Unpublished, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

RELAY_ATTEMPTS: Final = 3
_log = structlog.get_logger(__name__)


class EncoderPeer(msgspec.Struct, frozen=True, kw_only=True):
    """The other end of a connection: its IP address, whether it uses RTMPS, and whether another node relays it."""

    address: str
    is_secure: bool
    is_relayed: bool = False


class EncoderSession:
    """One connection. `ask_id` identifies it until it is admitted, `connection_id` after that."""

    def __init__(
        self,
        encoder_socket: EncoderSocket,
        *,
        ask_id: str,
        peer: EncoderPeer,
        settings: IngestSettings,
        on_fact: Callable[[MediaFact], None],
        clock: Callable[[], float],
        log_limit: LogRateLimit,
        shed_detail: Callable[[], str | None],
    ) -> None:
        """`clock` is the event loop's. `on_fact` is called with IngestAsked, and with the end of an admitted
        connection. `log_limit` is shared by all sessions and applies to those that are never admitted. `shed_detail`
        returns why the server admits no further stream now, or None."""
        self.ask_id = ask_id
        self.peer = peer
        self.connection_id: str | None = None
        self.was_shed = False
        """Whether the encoder was refused because of the load."""
        self._socket = encoder_socket
        self._settings = settings
        self._on_fact = on_fact
        self._clock = clock
        self._log_limit = log_limit
        self._shed_detail = shed_detail
        self._rtmp = RtmpConnection(_rtmp_limits(settings))
        self._admission = EncoderAdmission()
        self._stream: EncoderStream | None = None
        self._answered = AnsweredBytes() if peer.is_relayed else None
        """Splits off what another node has answered, until there is no more of it."""
        self._received = bytearray()
        """What was received before the decision, for another node. The limits of RTMP bound it."""
        self._closed: asyncio.Future[StreamEnd] = asyncio.get_running_loop().create_future()
        """Done when `close` was called."""
        self._has_ended = False

    @property
    def is_publishing(self) -> bool:
        """Whether the encoder is admitted and has not ended: it takes a share of the process's time."""
        return self.connection_id is not None and not self._has_ended

    async def run(self, *, publish_deadline: float) -> None:
        """Serve the connection until its end. `publish` must be received until `publish_deadline` on the clock.

        `close` is waited for beside the connection itself, because the task may be waiting for the socket, for the
        decision, or for the encoder's pace. Nothing of the connection is left when this returns.
        """
        serving = asyncio.create_task(self._serve(publish_deadline))
        try:
            await asyncio.wait((serving, self._closed), return_when=asyncio.FIRST_COMPLETED)
            stream_end = self._closed.result() if self._closed.done() else serving.result()
        finally:
            # Also when `run` itself is cancelled, so that no task outlives the session.
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
        await self._end(stream_end)

    def admit(self, connection_id: str, ticket: FeedTicket) -> None:
        """Let the encoder publish to the feed of `ticket`.

        Raises MediaRefusedError (UNKNOWN_CONNECTION) if the encoder is gone or the decision was already made.
        """
        if self._closed.done() or self._socket.is_gone:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="the encoder is gone")
        self._admission.admit(connection_id, ticket)
        self.connection_id = connection_id

    def refuse(self, detail: str) -> None:
        """Refuse the encoder, which receives `detail`. No effect if it does not wait for a decision."""
        self._admission.refuse(detail)

    def relay(self, target: RelayTarget) -> None:
        """Let another node serve the encoder. No effect if it does not wait for a decision."""
        self._admission.relay(target)

    def close(self, detail: str) -> None:
        """End the connection. The encoder receives `detail`; no fact is reported."""
        if not self._closed.done():
            self._closed.set_result(StreamEnd(detail=detail))

    async def _serve(self, publish_deadline: float) -> StreamEnd:
        try:
            publish = await self._receive_publish(publish_deadline)
            if (detail := self._shed_detail()) is not None:
                # Before the stream key is looked at: shedding load must cost less than serving it.
                self.was_shed = True
                self._rtmp.refuse_publish(detail)
                return StreamEnd(detail=detail)
            match await self._ask(publish):
                case Refusal() as refusal:
                    self._rtmp.refuse_publish(refusal.detail)
                    return StreamEnd(detail=refusal.detail)
                case Admission() as admission:
                    self._received.clear()
                    return await self._receive_media(admission)
                case RelayTarget():
                    return RELAY_ENDED
        except Exception as error:  # noqa: BLE001 - any error ends this connection and no other
            return stream_end_of(error)

    async def _receive_publish(self, deadline: float) -> PublishReceived:
        timeout = self._settings.connect_timeout_seconds
        late = StreamEnd(detail=f"no stream key was received in {timeout:g} s")
        while not (events := await self._receive(deadline, lambda: late)):
            pass
        publish = events[0]
        if not isinstance(publish, PublishReceived) or len(events) > 1:
            # The only event that can follow before the decision is Unpublished.
            raise StreamEndedError(ENCODER_LEFT)
        return publish

    async def _ask(self, publish: PublishReceived) -> Decision:
        """Ask the server for its decision. What the encoder sends meanwhile stays in its socket.

        Returns a RelayTarget after the encoder was served by another node.
        """
        asked = IngestAsked(
            ask_id=self.ask_id,
            stream_key=publish.stream_key,
            is_secure=self.peer.is_secure,
            remote_address=self.peer.address,
        )
        for _ in range(RELAY_ATTEMPTS):
            decision = await self._admission.ask(asked, self._on_fact)
            if not isinstance(decision, RelayTarget):
                return decision
            try:
                await relay_encoder(
                    self._socket,
                    decision,
                    answered=bytes(self._received),
                    silence_seconds=self._settings.silence_timeout_seconds,
                )
            except RelayRefusedError as error:
                _log.info("another node did not take an encoder", detail=str(error))
            else:
                return decision
        return Refusal(detail=f"{SERVER_FAULT}: the node for this stream key cannot be reached; try again")

    async def _receive_media(self, admission: Admission) -> StreamEnd:
        self._rtmp.accept_publish()
        log = _log.bind(connection_id=admission.connection_id, remote_address=self.peer.address)
        self._stream = stream = EncoderStream(admission.ticket, self._settings, clock=self._clock, log=log)
        # Media of an encoder that does not wait for the answer to `publish` was received before the decision.
        events = self._rtmp.receive(b"")
        self._send()
        log.info("encoder publishes")
        others = CountPace(max_per_second=MAX_MESSAGES_PER_SECOND)
        paced = self._rtmp.other_message_count
        while True:
            for event in events:
                match event:
                    case VideoMessage():
                        await stream.process(MediaKind.VIDEO, timestamp_ms=event.timestamp_ms, payload=event.payload)
                    case AudioMessage():
                        await stream.process(MediaKind.AUDIO, timestamp_ms=event.timestamp_ms, payload=event.payload)
                    case Unpublished():
                        return ENCODER_LEFT
            # `stream.process` paces the media.
            paced, before = self._rtmp.other_message_count, paced
            if pause := others.pause_seconds(now=self._clock(), events=paced - before):
                await asyncio.sleep(pause)
            events = await self._receive(stream.deadline, stream.timed_out)

    async def _receive(self, deadline: float, timed_out: Callable[[], StreamEnd]) -> list[RtmpEvent]:
        """Read once from the socket and return the RTMP events.

        Raises StreamEndedError: with `timed_out()` if nothing is received until the deadline, with ENCODER_LEFT at the
        end of the connection.
        """
        try:
            async with asyncio.timeout_at(deadline) as timeout:
                data = await self._socket.read()
        except TimeoutError:
            if not timeout.expired():
                raise  # the kernel's own timeout (`watch_for_loss`)
            raise StreamEndedError(timed_out()) from None
        if not data:
            raise StreamEndedError(ENCODER_LEFT)
        if self.connection_id is None:
            self._received += data
        return self._process(data)

    def _process(self, data: bytes) -> list[RtmpEvent]:
        """Return the events of received bytes, and send the answers that the encoder does not have yet."""
        events = []
        if self._answered is not None:
            answered, data = self._answered.split(data)
            events = self._rtmp.receive(answered)
            self._rtmp.data_to_send()
            if self._answered.has_ended:
                self._answered = None
        events += self._rtmp.receive(data)
        self._send()
        return events

    def _send(self) -> None:
        if data := self._rtmp.data_to_send():
            self._socket.write(data)

    async def _end(self, stream_end: StreamEnd) -> None:
        """Close the feed, report the end, send the reason to the encoder, and close the connection."""
        self._has_ended = True
        self._log_end(stream_end)
        # The feed is closed before the fact is reported, so that the engine has stopped when the server learns of it.
        if self._stream is not None:
            self._stream.close()
        if self.connection_id is not None and (fact := stream_end.fact(self.connection_id)):
            self._on_fact(fact)
        if stream_end.is_encoder_reachable:
            self._rtmp.end(stream_end.status_text)
        with contextlib.suppress(NotReadError):
            self._send()
        await self._socket.finish()

    def _log_end(self, stream_end: StreamEnd) -> None:
        """Log the end. Anybody can cause the line of a connection without a stream key, so its number is limited."""
        more: dict[str, int] | None = {}
        if self._stream is not None:
            more = self._stream.damage.log_fields()
        elif self.connection_id is None and stream_end.is_encoder_reachable:
            more = self._log_limit.admit("refused" if stream_end.fault is None else "failed")
        if more is None:
            return
        # Health checks and port scanners connect and disconnect. They would fill the log at level INFO.
        is_notable = self.connection_id is not None or stream_end.is_encoder_reachable
        _log.log(
            logging.INFO if is_notable else logging.DEBUG,
            "encoder connection ended",
            connection_id=self.connection_id,
            remote_address=self.peer.address,
            detail=stream_end.detail,
            **more,
        )


def _rtmp_limits(settings: IngestSettings) -> RtmpLimits:
    size = settings.max_message_bytes
    return RtmpLimits(max_message_bytes=size, max_incomplete_bytes=max(2 * size, RtmpLimits().max_incomplete_bytes))
