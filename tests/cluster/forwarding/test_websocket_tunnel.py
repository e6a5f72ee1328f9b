"""Websockets to a node that does not own the account: the client talks to the owner."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from stagebook.api.asgi import HAND_OVER_EXTENSION, Receive, Scope, Send
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.forwarding.websocket_tunnel import _join, _TunnelEnd
from tests.cluster.cluster_harness import ACCOUNT, Cluster, never, until
from tests.server.http.http_harness import wait_until_no_connections

STAGE_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/abcdABCDefgh"


def token(resource: str = STAGE_ARN) -> str:
    """Return what has the form of a participant token. Nobody verifies it here."""
    payload = base64.urlsafe_b64encode(json.dumps({"resource": resource}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


class Echo:
    """Accepts with the first subprotocol, and repeats each message. "close" ends the websocket with 4321."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.disconnects: list[object] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(dict(scope))
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0], "headers": []})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4321, "reason": "as asked"})
                return
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
        self.disconnects.append(message["code"])


@asynccontextmanager
async def joined(cluster: Cluster, *, offered: tuple[str, ...] = ()) -> AsyncIterator[ClientConnection]:
    """A websocket of a client of the first node."""
    subprotocols = [websockets.Subprotocol(each) for each in offered or (token(),)]
    url = f"ws://127.0.0.1:{cluster.first.port}/events/abcdABCDefgh?x=%2F"
    async with asyncio.timeout(20), websockets.connect(url, subprotocols=subprotocols, compression=None) as connection:
        yield connection


async def test_messages_pings_and_the_subprotocol_pass_in_both_directions() -> None:
    echo = Echo()
    async with Cluster(never, echo).running() as cluster, joined(cluster) as client:
        assert client.subprotocol == token()
        for message in ("text", b"\x00\xff", "x" * 4_096):
            await client.send(message)
            assert await client.recv() == message
        await client.send(iter(["three", " fr", "ames"]))
        assert await client.recv() == "three frames"
        await (await client.ping())
        scope = echo.scopes[0]
        assert (scope["path"], scope["query_string"]) == ("/events/abcdABCDefgh", b"x=%2F")
        assert scope["client"] == client.local_address
        names = [name for name, _ in scope["headers"]]
        assert b"x-stagebook-forwarded" not in names
        assert names.count(b"host") == names.count(b"upgrade") == 1


async def test_the_owner_closes_with_its_code() -> None:
    async with Cluster(never, Echo()).running() as cluster, joined(cluster) as client:
        await client.send("close")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4321, "as asked")
        await wait_until_no_connections(cluster.first.server)


async def test_the_client_closes_with_its_code() -> None:
    echo = Echo()
    async with Cluster(never, echo).running() as cluster:
        async with joined(cluster) as client:
            await client.close(code=4_000)
        await until(lambda: echo.disconnects == [4_000])
        await wait_until_no_connections(cluster.first.server)


@pytest.mark.parametrize("who", ["client", "owner"])
async def test_a_connection_that_breaks_ends_the_other_one(who: str) -> None:
    echo = Echo()
    async with Cluster(never, echo).running() as cluster, joined(cluster) as client:
        if who == "client":
            client.transport.abort()
            await until(lambda: len(echo.disconnects) == 1)
        else:
            for open_connection in list(cluster.second.internal_server.server_state.connections):
                open_connection.abort()  # type: ignore[union-attr]
            with pytest.raises(ConnectionClosed):
                await client.recv()
        await wait_until_no_connections(cluster.first.server)


async def test_the_bounds_of_the_owner_hold() -> None:
    async with Cluster(never, Echo()).running() as cluster, joined(cluster) as client:
        await client.send("x" * 4_097)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1009


async def test_a_refused_handshake_has_the_response_of_the_owner() -> None:
    async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"x-why", b"no"), (b"content-length", b"4")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"gone"})

    async with Cluster(never, refuse).running() as cluster:
        with pytest.raises(InvalidStatus) as caught:
            async with joined(cluster):
                pass
        response = caught.value.response
        assert (response.status_code, response.headers["x-why"], response.body) == (401, "no", b"gone")
        await wait_until_no_connections(cluster.first.server)


class FullTransport(asyncio.Transport):
    """A transport whose buffer is full after the first bytes. It notes what is done with it."""

    def __init__(self, protocol: _TunnelEnd) -> None:
        super().__init__()
        self._protocol = protocol
        self.calls: list[str] = []
        protocol.connection_made(self)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Tell the protocol that the buffer is full."""
        self.calls.append(f"write {len(data)}")
        self._protocol.pause_writing()

    def pause_reading(self) -> None:
        """Note the call."""
        self.calls.append("pause")


async def test_a_client_that_does_not_read_the_first_bytes_stops_the_owner() -> None:
    owner = _TunnelEnd()
    owner_transport = FullTransport(owner)
    owner.data_received(b"x" * 20_000)
    _join({"extensions": {HAND_OVER_EXTENSION: FullTransport}}, owner)
    assert owner_transport.calls == ["pause"]


async def test_a_stale_entry_costs_one_answer_and_a_refresh() -> None:
    async with Cluster(never, Echo()).running() as cluster:
        cluster.second.local.run_id = 3
        url = cluster.second.owner.internal_url
        cluster.leases.owners[ACCOUNT] = AccountOwner(node="second", run_id=3, internal_url=url)
        async with joined(cluster) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        assert cluster.first.cluster.counts.misdirected == 1


async def test_without_an_owner_the_handshake_gets_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagebook.cluster.owner_search.PATIENCE_SECONDS", 0.2)
    async with Cluster(never, never).running() as cluster:
        cluster.leases.owners[ACCOUNT] = None
        cluster.first.cluster.note_owners_changed()
        with pytest.raises(InvalidStatus) as caught:
            async with joined(cluster):
                pass
    assert (caught.value.response.status_code, caught.value.response.headers["retry-after"]) == (503, "1")


async def test_a_node_serves_its_own_websockets_and_those_of_accounts_that_do_not_exist() -> None:
    first = Echo()
    unknown = token(STAGE_ARN.replace(ACCOUNT, "999999999999"))
    async with Cluster(first, never).running() as cluster:
        async with joined(cluster, offered=("no-token", unknown)) as client:
            assert client.subprotocol == "no-token"
        cluster.leases.owners[ACCOUNT] = cluster.first.owner
        async with joined(cluster) as client:
            assert client.subprotocol == token()
        assert cluster.first.local.acquired == []
    assert len(first.scopes) == 2


async def test_the_tunnels_to_a_run_that_has_long_been_missing_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Cluster(never, Echo()).running() as cluster, joined(cluster) as client:
        cluster.leases.owners[ACCOUNT] = None
        reads = cluster.leases.reads
        cluster.first.cluster.note_owners_changed()
        await until(lambda: cluster.leases.reads > reads)
        await client.send("still here")
        assert await client.recv() == "still here"
        monkeypatch.setattr("stagebook.cluster.forwarding.forwarding_application.FORGET_SECONDS", 0.01)
        await asyncio.sleep(0.02)
        cluster.first.cluster.note_owners_changed()
        with pytest.raises(ConnectionClosed):
            await client.recv()
