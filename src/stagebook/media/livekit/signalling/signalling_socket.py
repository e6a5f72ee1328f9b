"""The websocket of one participant: it drives a signalling exchange, and stays open until the connection ends.

LiveKit ends a participant whose websocket closes before its media is connected. After that the loss of the websocket
has no effect on media. It is opened again by the participant's id, so that ICE can be restarted and the end of the
connection is reported at once.
"""

import asyncio
import base64
import contextlib
import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from google.protobuf.message import DecodeError
from livekit.protocol import rtc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from stagebook.media.livekit.signalling.signalling_exchange import ExchangeState, SignallingExchange
from stagebook.media.port import CloseCause, MediaRefusedError, RefusalReason

EXCHANGE_TIMEOUT_SECONDS: Final = 8.0
"""Maximum time from the start to the answer."""
CANDIDATES_TIMEOUT_SECONDS: Final = 1.0
"""Maximum time from the answer to its last candidate."""
MAX_MESSAGE_SIZE_BYTES: Final = 1 << 20
_MAX_QUEUED_MESSAGES: Final = 16
_CLOSE_TIMEOUT_SECONDS: Final = 1.0
_UNANSWERED_PINGS: Final = 3
"""LiveKit answers each ping. After this number of pings without any message the websocket is lost."""
_REOPEN_DELAYS_SECONDS: Final = (0.2, 1.0, 2.0, 4.0, 8.0, 8.0, 15.0, *(30.0,) * 8)
"""Their sum is longer than the outage of LiveKit's Redis that sources survive (`livekit_polls.OUTAGE_SECONDS`)."""
_LASTING_SECONDS: Final = 60.0
"""A websocket that lasted at least this long resets the delays."""

_LEAVE: Final = rtc.SignalRequest(leave=rtc.LeaveRequest()).SerializeToString()
"""Ends the participant also if LiveKit's Redis has lost its data: the room service finds no participant then."""


class SignallingSocket:
    """The websocket of one exchange."""

    def __init__(
        self,
        exchange: SignallingExchange,
        *,
        url: str,
        token: Callable[[], str],
        on_open: Callable[[], None],
        on_lost: Callable[[], None],
        on_end: Callable[[CloseCause], None],
        timeout_seconds: float = EXCHANGE_TIMEOUT_SECONDS,
    ) -> None:
        """`url` is the deployment's HTTP URL, without a slash at the end, and `token` makes the participant's access
        token.

        `on_open` is called when a websocket opens that will report the end of the answered connection, and `on_lost`
        when it is lost. `on_end` is called with the cause when LiveKit has ended the answered connection.
        """
        self.exchange = exchange
        self._url = url
        self._token = token
        self._on_open = on_open
        self._on_lost = on_lost
        self._on_end = on_end
        self._timeout_seconds = timeout_seconds
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._is_closed = False
        self._restarting = asyncio.Lock()

    async def open(self) -> None:
        """Join, and drive the exchange until it is complete. Raises MediaRefusedError (the reasons of exchanges)."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                self._socket = await self._connect(self.exchange.join_request())
                if not self._is_closed:
                    self._task = asyncio.create_task(self._keep(self._socket))
                await self._until_settled()
        except TimeoutError:
            self.exchange.time_out()
        except (OSError, InvalidHandshake, InvalidURI) as error:
            raise _refused_handshake(error) from error
        await self._complete()
        self._on_open()

    async def restart(self, offer: str) -> None:
        """Send another offer of the same peer and wait for its answer. Raises MediaRefusedError (BUSY, ENGINE_LOST)."""
        async with self._restarting:
            await self._send(self.exchange.restart(offer))
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    await self._until_settled()
            except TimeoutError:
                self.exchange.time_out()
            await self._complete()

    async def send(self, *messages: rtc.SignalRequest) -> None:
        """Send messages. Raises MediaRefusedError (BUSY) while the websocket is lost."""
        await self._send(messages)

    async def close(self) -> None:
        """Leave the room, and close the websocket. Nothing is reported after this."""
        self._on_open = self._on_lost = lambda: None
        self._on_end = lambda _cause: None
        self._is_closed = True
        # Callers that wait for an answer get an error.
        self.exchange.lose_socket()
        self._changed.set()
        if self._task is not None:
            self._task.cancel()
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(_LEAVE)
            await self._socket.close()

    async def _connect(self, request: rtc.JoinRequest) -> ClientConnection:
        return await connect_signalling(self._url, request, token=self._token())

    async def _complete(self) -> None:
        """Wait for the candidates of an answer. Raises MediaRefusedError if there is no answer."""
        if self.exchange.failure is None:
            try:
                async with asyncio.timeout(CANDIDATES_TIMEOUT_SECONDS):
                    await self._until(lambda: self.exchange.is_complete)
            except TimeoutError:
                self.exchange.time_out()
        if self.exchange.failure is not None:
            if self.exchange.state is ExchangeState.FAILED:
                await self.close()
            raise self.exchange.failure

    async def _until_settled(self) -> None:
        await self._until(lambda: self.exchange.state in (ExchangeState.ANSWERED, ExchangeState.FAILED))

    async def _until(self, is_reached: Callable[[], bool]) -> None:
        while not is_reached():
            self._changed.clear()
            await self._changed.wait()

    async def _send(self, messages: Iterable[rtc.SignalRequest]) -> None:
        if self._socket is None:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the signalling connection to LiveKit is lost")
        try:
            for message in messages:
                await self._socket.send(message.SerializeToString())
        except ConnectionClosed as error:
            raise MediaRefusedError(
                reason=RefusalReason.BUSY, detail="the signalling connection to LiveKit is lost"
            ) from error

    async def _keep(self, socket: ClientConnection) -> None:
        """Read messages until LiveKit ends the connection. Open a lost websocket again."""
        delays_seconds = iter(_REOPEN_DELAYS_SECONDS)
        while True:
            opened_at = time.monotonic()
            await self._read(socket)
            if time.monotonic() - opened_at > _LASTING_SECONDS:
                delays_seconds = iter(_REOPEN_DELAYS_SECONDS)
            self._socket = None
            self.exchange.lose_socket()
            self._changed.set()
            if self.exchange.end_cause is not None:
                self._on_end(self.exchange.end_cause)
                return
            self._on_lost()
            reopened = None if self.exchange.state is ExchangeState.FAILED else await self._reopen(delays_seconds)
            if reopened is None:
                return
            self._socket = socket = reopened
            self._on_open()

    async def _reopen(self, delays_seconds: Iterator[float]) -> ClientConnection | None:
        for delay_seconds in delays_seconds:
            await asyncio.sleep(delay_seconds)
            try:
                return await self._connect(self.exchange.rejoin_request())
            except InvalidStatus as error:
                if error.response.status_code < 500:
                    return None
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI):
                continue
        return None

    async def _read(self, socket: ClientConnection) -> None:
        """Take messages until the websocket or the connection ends; send pings between them."""
        loop = asyncio.get_running_loop()
        next_ping, unanswered = loop.time() + self.exchange.ping_interval_seconds, 0
        try:
            while self.exchange.end_cause is None and unanswered <= _UNANSWERED_PINGS:
                try:
                    async with asyncio.timeout_at(next_ping):
                        data = await socket.recv(decode=False)
                except TimeoutError:
                    await socket.send(_ping(loop.time()))
                    next_ping, unanswered = loop.time() + self.exchange.ping_interval_seconds, unanswered + 1
                    continue
                unanswered = 0
                await self._take(socket, data)
        except ConnectionClosed:
            return
        await socket.close()

    async def _take(self, socket: ClientConnection, data: bytes) -> None:
        message = rtc.SignalResponse()
        try:
            message.ParseFromString(data)
        except DecodeError:
            return
        for answer in self.exchange.receive(message):
            await socket.send(answer.SerializeToString())
        self._changed.set()


class _Connect(connect):
    """Does not follow redirects: the token goes to the configured URL and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def connect_signalling(url: str, request: rtc.JoinRequest, *, token: str) -> ClientConnection:
    """Open a websocket for signalling. Raises OSError, TimeoutError and InvalidHandshake."""
    # The token is in a header: URLs are logged.
    return await _Connect(
        f"ws{url.removeprefix('http')}/rtc/v1?join_request={_wrapped(request)}",
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
        open_timeout=EXCHANGE_TIMEOUT_SECONDS,
        close_timeout=_CLOSE_TIMEOUT_SECONDS,
        ping_interval=None,
        proxy=None,
        max_size=MAX_MESSAGE_SIZE_BYTES,
        max_queue=_MAX_QUEUED_MESSAGES,
    )


def _wrapped(request: rtc.JoinRequest) -> str:
    """Return a join request as the URL has it."""
    wrapped = rtc.WrappedJoinRequest(
        compression=rtc.WrappedJoinRequest.Compression.GZIP, join_request=gzip.compress(request.SerializeToString())
    )
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


def _ping(seconds: float) -> bytes:
    return rtc.SignalRequest(ping_req=rtc.Ping(timestamp=int(seconds * 1_000))).SerializeToString()


def _refused_handshake(error: Exception) -> MediaRefusedError:
    detail = type(error).__name__
    reason = RefusalReason.ENGINE_LOST
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if status >= 500:
            # Without its Redis, or for a room of a failed node. The body has addresses, and peers see the detail.
            reason, detail = RefusalReason.BUSY, f"status {status}"
        else:
            body = (error.response.body or b"")[:200].decode(errors="replace")
            detail = f"status {status} {body}".strip()
    return MediaRefusedError(reason=reason, detail=f"LiveKit did not let the peer join: {detail}")
