"""A destination that is a channel: the composition is pushed to an RTMP or RTMPS server.

    connecting -- accepted --> OutputStarted -- lost --> OutputReconnecting -- accepted --> OutputStarted ...
        |                          |                          |
        |                          `-- end --> OutputEnded    |
        `-- no stream is accepted for give_up_seconds --------`--> OutputFailed

The delay between two attempts doubles up to a maximum. The server may still hold the stream of a connection that was
lost, so an answer that the stream exists is tried again as well, and is the fault in the end.
"""

import asyncio
import ssl
from collections.abc import Callable

import structlog

from stagebook.media.composition.composition_port import (
    ChannelOutput,
    OutputEnded,
    OutputFact,
    OutputFailed,
    OutputFault,
    OutputReconnecting,
    OutputStarted,
)
from stagebook.media.composition.encoding.encoded_packet import EncodedPacket, StreamFormat
from stagebook.media.composition.outputs.push_connection import PushConnection, PushTimeouts, ServerClosedError
from stagebook.media.composition.outputs.push_queue import PushQueue
from stagebook.media.rtmp.push.push_address import parse_push_url
from stagebook.media.rtmp.push.push_session import STREAM_EXISTS_CODE, PushRefusedError
from stagebook.media.rtmp.rtmp_error import RtmpError

_log = structlog.get_logger(__name__)

_LOSSES = (OSError, ServerClosedError, RtmpError, PushRefusedError)
"""What ends a connection. TimeoutError and the errors of TLS are kinds of OSError."""


class RtmpOutput:
    """Pushes the packets of one encoding to a channel."""

    def __init__(
        self,
        output: ChannelOutput,
        *,
        composition_id: str,
        stream_format: StreamFormat,
        report: Callable[[OutputFact], None],
        tls: ssl.SSLContext,
        timeouts: PushTimeouts = PushTimeouts(),  # noqa: B008 - frozen
    ) -> None:
        """Raises ValueError for a URL that is none of RTMP or RTMPS."""
        self._ids = {"composition_id": composition_id, "destination_id": output.destination_id}
        self._address = parse_push_url(output.url)
        self._format = stream_format
        self._report = report
        self._tls = tls
        self._timeouts = timeouts
        self._queue: PushQueue | None = None
        """None while there is no connection: what is composed then is not sent."""
        self._ending = asyncio.Event()
        self._fault = OutputFault.INTERNAL
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect, and report facts from now on."""
        self._task = asyncio.create_task(self._run_guarded())

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet. Never blocks."""
        if self._queue is not None:
            self._queue.put(packet)

    def fail(self) -> None:
        """The output cannot go on, for a reason of its own."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._report(OutputFailed(**self._ids, fault=OutputFault.INTERNAL))

    async def end(self) -> None:
        """Send what is queued, end the stream, and report OutputEnded unless the output has failed."""
        self._ending.set()
        if self._queue is not None:
            self._queue.end()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run_guarded(self) -> None:
        """Whatever a server or the resolver answers, the end of the output is reported."""
        try:
            await self._run()
        except Exception:  # noqa: BLE001 - an output without an end would keep its composition from its end
            # Not with the traceback: its lines could hold the stream key.
            _log.error("an RTMP output failed", host=self._address.host, **self._ids)
            self._report(OutputFailed(**self._ids, fault=OutputFault.INTERNAL))

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        failing_since = clock()
        delay = self._timeouts.first_delay_seconds
        while not self._ending.is_set():
            began = clock()
            is_lost = await self._publish() and not self._ending.is_set()
            # A server that accepts each stream and drops it at once is as good as none.
            if is_lost and clock() - began > self._timeouts.stable_seconds:
                failing_since, delay = clock(), self._timeouts.first_delay_seconds
            if clock() - failing_since + delay > self._timeouts.give_up_seconds:
                self._report(OutputFailed(**self._ids, fault=self._fault))
                return
            if is_lost:
                self._report(OutputReconnecting(**self._ids))
            await self._wait(delay)
            delay = min(2 * delay, self._timeouts.max_delay_seconds)
        self._report(OutputEnded(**self._ids))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return

    async def _publish(self) -> bool:
        """Connect and stream until the connection is lost or the output ends. Returns whether a stream was accepted."""
        opening = asyncio.create_task(PushConnection.open(self._address, self._tls, timeouts=self._timeouts))
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait((opening, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not opening.done():
            opening.cancel()
        try:
            connection = await opening
        except asyncio.CancelledError:
            return False
        except _LOSSES as error:
            self._note(error)
            return False
        await self._stream(connection)
        return True

    async def _stream(self, connection: PushConnection) -> None:
        self._queue = queue = PushQueue()
        if self._ending.is_set():
            queue.end()
        self._report(OutputStarted(**self._ids))
        try:
            await connection.stream(queue, self._format)
            await connection.close()
        except _LOSSES as error:
            self._note(error)
        finally:
            self._queue = None
            connection.abort()

    def _note(self, error: Exception) -> None:
        """Keep the fault that the error means. Its text is logged; it contains no part of the URL."""
        exists = isinstance(error, PushRefusedError) and error.code == STREAM_EXISTS_CODE
        self._fault = OutputFault.STREAM_EXISTS if exists else OutputFault.INTERNAL
        detail = error.code if isinstance(error, PushRefusedError) else type(error).__name__
        _log.warning(
            "the connection to an RTMP server failed or was lost", host=self._address.host, detail=detail, **self._ids
        )
