"""A websocket to the owner: after the handshake, its bytes are passed on in both directions as they are.

The handshake is sent to the owner with the key, the subprotocols and the extensions that the client offers, and the
owner's answer is the client's. So frames, fragments, pings, close codes and the limits on them are between the client
and the owner, and this node parses none of them: it costs no more than a copy of the bytes.

    client  <->  `_TunnelEnd`  <->  `_TunnelEnd`  <->  owner

Each side pauses the reading of the other one while its own socket is full. If one side ends, the other one is closed
after what was written; one that does not read is disconnected after CLOSE_SECONDS. A dead client is noticed by the
pings of the owner, a dead owner by the probes of the kernel (`probe_quiet_connection`).
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from stagebook.api.asgi import HAND_OVER_EXTENSION, Scope, TakenConnection
from stagebook.api.light_event import LightEvent
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.forwarding.forwarded_head import LINK_HEADER, NOT_OWNER, request_head
from stagebook.cluster.forwarding.http_forwarding import LinkRefusedError
from stagebook.cluster.forwarding.owner_connection import OwnerLostError, probe_quiet_connection
from stagebook.cluster.forwarding.owner_connections import (
    CONNECT_TIMEOUT_SECONDS,
    OwnerUnreachableError,
    TooManyForwardedError,
    address_of,
)

HANDSHAKE_TIMEOUT_SECONDS: Final = 15.0
MAXIMUM_HEAD_BYTES: Final = 131_072
"""The owner's answer repeats the token of the client as the subprotocol."""
MAXIMUM_TUNNELS: Final = 20_000
"""Websockets to one owner."""
CLOSE_SECONDS: Final = 5.0
_BUFFER_BYTES: Final = 16_384


class _TunnelEnd(TakenConnection):
    """One side of a tunnel. Until both sides are there, what arrives is kept, up to MAXIMUM_HEAD_BYTES."""

    __slots__ = ("changed", "is_lost", "on_lost", "other", "received", "transport")

    def __init__(self) -> None:
        self.on_lost = _do_nothing
        self.other: _TunnelEnd | None = None
        self.transport: asyncio.Transport | None = None
        self.is_lost = False
        self.received = bytearray()
        self.changed = LightEvent()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
            return
        self.received += data
        if len(self.received) > MAXIMUM_HEAD_BYTES:
            self.abort()
        self.changed.set()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.is_lost:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.is_lost:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name of asyncio
        self.is_lost = True
        self.changed.set()
        other, self.other = self.other, None
        self.on_lost()
        self.on_lost = _do_nothing
        if other is not None:
            other.close()

    def close(self) -> None:
        """End this side after what was written to it."""
        self.other = None
        if self.transport is not None and not self.is_lost:
            self.transport.close()
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._abort_if_open)

    def shutdown(self) -> None:
        """End both sides: the server stops."""
        other = self.other
        self.close()
        if other is not None:
            other.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _abort_if_open(self) -> None:
        if not self.is_lost:
            self.abort()


class TunnelCounts:
    """The open tunnels to each run, which can be ended together."""

    def __init__(self, *, maximum: int = MAXIMUM_TUNNELS) -> None:
        self._maximum = maximum
        self._open: dict[int, set[_TunnelEnd]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def enter(self, run_id: int, end: _TunnelEnd) -> Callable[[], None]:
        """Count a tunnel; return the function that counts its end. Raises TooManyForwardedError."""
        ends = self._open.setdefault(run_id, set())
        if len(ends) >= self._maximum:
            raise TooManyForwardedError
        ends.add(end)
        return lambda: self._leave(run_id, end)

    def end_run(self, run_id: int) -> None:
        """End all tunnels to a run that is not alive."""
        for end in list(self._open.get(run_id, ())):
            end.abort()

    def run_ids(self) -> set[int]:
        """Return the runs with open tunnels."""
        return set(self._open)

    def _leave(self, run_id: int, end: _TunnelEnd) -> None:
        ends = self._open.get(run_id, set())
        ends.discard(end)
        if not ends:
            self._open.pop(run_id, None)


async def open_tunnel(scope: Scope, owner: AccountOwner, counts: TunnelCounts, *, seal: bytes) -> bool:
    """Send a handshake to the owner, and connect the client with it whatever it answers.

    Returns False if the owner is not the owner; the client can then be connected with another one. Raises
    OwnerUnreachableError, LinkRefusedError, TooManyForwardedError, and OwnerLostError if the owner does not answer.
    """
    end = _TunnelEnd()
    end.on_lost = counts.enter(owner.run_id, end)
    await _connect(end, owner)
    is_joined = False
    try:
        transport = cast("asyncio.Transport", end.transport)
        transport.write(request_head(scope, seal))
        link = await _link_of_response(end)
        if link == NOT_OWNER:
            return False
        if link is not None:
            raise LinkRefusedError
        is_joined = True
        _join(scope, end)
    finally:
        if not is_joined:
            end.abort()
    return True


async def _connect(end: _TunnelEnd, owner: AccountOwner) -> None:
    try:
        host, port = address_of(owner)
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: end, host, port)
    except OwnerUnreachableError:
        end.on_lost()
        raise
    except OSError as error:  # TimeoutError is one
        end.on_lost()
        raise OwnerUnreachableError(str(error)) from error
    except BaseException:
        end.on_lost()
        raise
    probe_quiet_connection(transport)


async def _link_of_response(end: _TunnelEnd) -> bytes | None:
    """Wait for the head of the response; return its LINK_HEADER. The bytes stay in `received`."""
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_SECONDS):
            while (size_bytes := end.received.find(b"\r\n\r\n")) < 0:
                if end.is_lost:
                    raise OwnerLostError
                end.changed.clear()
                await end.changed.wait()
    except TimeoutError:
        raise OwnerLostError from None
    found = _LinkReader()
    try:
        httptools.HttpResponseParser(found).feed_data(end.received[: size_bytes + 4])
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        raise OwnerLostError from None
    return found.link


class _LinkReader:
    def __init__(self) -> None:
        self.link: bytes | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == LINK_HEADER:
            self.link = value


def _join(scope: Scope, end: _TunnelEnd) -> None:
    """Connect the client with the owner. If the client has gone, the owner's side is ended."""
    client = _TunnelEnd()
    transport = scope["extensions"][HAND_OVER_EXTENSION](client)
    if transport is None or (end.is_lost and not end.received):
        end.abort()
        client.abort()
        return
    received, end.received = bytes(end.received), bytearray()
    # Before the write, which can fill the client's buffer: then the reading of the owner is paused.
    end.other, client.other = client, end
    transport.write(received)
    if end.is_lost:
        client.close()


def _do_nothing() -> None:
    """The place of a callback that was called."""
