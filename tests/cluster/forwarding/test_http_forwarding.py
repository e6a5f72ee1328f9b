"""HTTP requests to a node that does not own the account: what the owner and the client get, over real sockets."""

import asyncio
import contextlib

import pytest

from stagebook.api.asgi import Message, Receive, Scope, Send
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.forwarding.http_forwarding import REPEAT_LIMIT_BYTES, KeptBytes, RepeatableBody
from tests.cluster.cluster_harness import ACCOUNT, SIGNED, Cluster, Recorder, never, until
from tests.server.http.http_harness import connection, exchange, read_body, read_response

TARGET = b"/CreateStage?a=%2Fb%20c&d"
HEAD = b"POST " + TARGET + b" HTTP/1.1\r\nhost: Stages.Example.com:99\r\n" + SIGNED

LIMIT_BYTES = 24 * 1_024 * 1_024
"""More than the kernel buffers for two connections; the bounds of the nodes are far below it."""


def answer(_scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    return 201, [(b"x-answer", b"yes"), (b"content-length", b"%d" % len(body))], body


async def test_the_owner_gets_the_request_as_the_client_sent_it() -> None:
    owner = Recorder(answer)
    async with Cluster(never, owner).running() as cluster, connection(cluster.first.port) as (reader, writer):
        address = writer.get_extra_info("sockname")
        for body in (b"one", b"two"):
            writer.write(HEAD + b"X-Mixed: A , B\r\nx-mixed: c\r\ncontent-length: 3\r\n\r\n" + body)
            status, headers, received = await read_response(reader)
            assert (status, headers[b"x-answer"], received) == (201, b"yes", body)
        scope = owner.scopes[0]
        assert (scope["method"], scope["raw_path"], scope["query_string"]) == ("POST", b"/CreateStage", b"a=%2Fb%20c&d")
        assert scope["headers"] == [
            (b"host", b"Stages.Example.com:99"),
            (b"authorization", SIGNED[15:-2]),
            (b"x-mixed", b"A , B"),
            (b"x-mixed", b"c"),
            (b"content-length", b"3"),
        ]
        assert (scope["client"], scope["scheme"]) == (address, "http")
        counts = cluster.first.cluster.counts
        assert (counts.requests, counts.misdirected, counts.lost) == (2, 0, 0)


async def test_hop_by_hop_fields_end_here_and_no_client_can_name_others() -> None:
    def respond(_scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        fields = [(b"connection", b"x-hop"), (b"keep-alive", b"1"), (b"x-hop", b"1"), (b"x-end", b"1")]
        return 200, [*fields, (b"content-length", b"%d" % len(body))], body

    owner = Recorder(respond)
    async with Cluster(never, owner).running() as cluster, connection(cluster.first.port) as (reader, writer):
        writer.write(
            HEAD + b"connection: keep-alive, x-mine, content-length, host, authorization, x-stagebook-forwarded\r\n"
            b"x-mine: 1\r\nte: trailers\r\nkeep-alive: 5\r\nproxy-connection: x\r\nupgrade: h2c\r\n"
            b"x-stagebook-forwarded: forged\r\ncontent-length: 3\r\n\r\nabc"
        )
        status, headers, body = await read_response(reader)
    assert (status, body) == (200, b"abc")
    assert {name for name, _ in owner.scopes[0]["headers"]} == {b"host", b"authorization", b"content-length"}
    assert b"x-end" in headers
    assert not {b"x-hop", b"keep-alive", b"x-stagebook-link"} & headers.keys()


async def test_a_chunked_body_and_a_chunked_response_are_streamed() -> None:
    async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b"").upper(), "more_body": more})

    async with Cluster(never, echo).running() as cluster, connection(cluster.first.port) as (reader, writer):
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert await reader.readuntil(b"ABC\r\n") == b"3\r\nABC\r\n"  # before the client sends more
        writer.write(b"2\r\nde\r\n0\r\n\r\n")
        assert await reader.readuntil(b"0\r\n\r\n") == b"2\r\nDE\r\n0\r\n\r\n"


async def test_head_and_empty_responses_end() -> None:
    def respond(scope: Scope, _body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return (200, [(b"content-length", b"7")], b"") if scope["method"] == "HEAD" else (204, [], b"")

    async with Cluster(never, Recorder(respond)).running() as cluster, connection(cluster.first.port) as (r, writer):
        writer.write(b"HEAD /x HTTP/1.1\r\nhost: h\r\n" + SIGNED + b"\r\n")
        assert b"content-length: 7" in await r.readuntil(b"\r\n\r\n")
        writer.write(b"DELETE /x HTTP/1.1\r\nhost: h\r\n" + SIGNED + b"\r\n")
        assert (await r.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")


async def test_a_client_that_does_not_read_stops_the_owner() -> None:
    sent = 0

    async def pour(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1_000):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
            sent += 65_536

    async with Cluster(never, pour).running() as cluster, connection(cluster.first.port) as (_reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a transport that reads
        writer.write(b"GET /x HTTP/1.1\r\nhost: h\r\n" + SIGNED + b"\r\n")
        before = -1
        while before != sent or not sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < LIMIT_BYTES


async def test_an_owner_that_does_not_read_stops_the_client() -> None:
    done = asyncio.Event()

    async def ignore(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        await done.wait()
        while (await receive())["type"] != "http.disconnect":
            pass

    async with Cluster(never, ignore).running() as cluster, connection(cluster.first.port) as (_reader, writer):
        writer.write(HEAD + b"content-length: 100000000\r\n\r\n")
        written = 0
        with contextlib.suppress(TimeoutError):
            while written < LIMIT_BYTES:
                writer.write(bytes(65_536))
                async with asyncio.timeout(0.5):
                    await writer.drain()
                written += 65_536
        assert written < LIMIT_BYTES
        done.set()


async def test_a_client_that_goes_away_ends_the_request_of_the_owner() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait(_scope: Scope, receive: Receive, _send: Send) -> None:
        began.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    async with Cluster(never, wait).running() as cluster:
        async with connection(cluster.first.port) as (_reader, writer):
            writer.write(b"GET /x HTTP/1.1\r\nhost: h\r\n" + SIGNED + b"\r\n")
            await asyncio.wait_for(began.wait(), 20)
        await asyncio.wait_for(ended.wait(), 20)
        assert cluster.first.cluster.counts.lost == 0


async def test_a_stale_entry_costs_one_answer_and_a_refresh_and_the_body_is_sent_again() -> None:
    owner, first = Recorder(answer), Recorder(answer)
    async with Cluster(first, owner).running() as cluster:
        # The account has moved to the first node, which has not noticed it.
        cluster.leases.owners[ACCOUNT] = cluster.second.owner
        second_run = AccountOwner(node="second", run_id=3, internal_url=cluster.second.owner.internal_url)
        cluster.second.local.run_id = 3
        cluster.leases.owners[ACCOUNT] = second_run
        async with connection(cluster.first.port) as (reader, writer):
            writer.write(HEAD + b"content-length: 4\r\n\r\nbody")
            status, _, body = await read_response(reader)
        assert (status, body, owner.bodies) == (201, b"body", [b"body"])
        assert cluster.first.cluster.counts.misdirected == 1


async def test_an_account_that_came_here_meanwhile_is_served_here() -> None:
    first = Recorder(answer)
    async with Cluster(first, never).running() as cluster, connection(cluster.first.port) as (reader, writer):
        cluster.first.source.stale = {ACCOUNT: cluster.second.owner}
        cluster.first.cluster.note_owners_changed()
        await until(lambda: cluster.first.source.stale is None)
        cluster.leases.owners[ACCOUNT] = cluster.first.owner
        writer.write(HEAD + b"content-length: 4\r\n\r\nbody")
        status, _, body = await read_response(reader)
    assert (status, body, first.bodies) == (201, b"body", [b"body"])


async def test_a_node_takes_an_account_without_an_owner() -> None:
    first = Recorder(answer)
    async with Cluster(first, never).running() as cluster, connection(cluster.first.port) as (reader, writer):
        cluster.leases.owners[ACCOUNT] = None
        cluster.first.local.can_acquire = True
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        assert (await read_response(reader))[0] == 201
        assert cluster.first.local.acquired == [ACCOUNT]


async def test_an_owner_that_ends_before_it_responds_is_not_asked_twice() -> None:
    requests = 0

    async def crash(_scope: Scope, receive: Receive, _send: Send) -> None:
        nonlocal requests
        requests += 1
        await read_body(receive)
        for open_connection in list(cluster.second.internal_server.server_state.connections):
            open_connection.abort()  # type: ignore[union-attr]  # as the end of the process does

    cluster = Cluster(never, crash)
    async with cluster.running(), connection(cluster.first.port) as (reader, writer):
        writer.write(HEAD + b"content-length: 4\r\n\r\nbody")
        status, headers, body = await read_response(reader)
    assert (status, requests) == (503, 1)
    assert headers[b"x-amzn-errortype"] == b"ServiceUnavailableException"
    assert headers[b"retry-after"] == b"1"
    assert b"may have been carried out" in body


async def test_a_response_that_breaks_off_is_not_taken_for_a_whole_one(caplog: pytest.LogCaptureFixture) -> None:
    async def break_off(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await asyncio.sleep(0.05)
        for open_connection in list(cluster.second.internal_server.server_state.connections):
            open_connection.abort()  # type: ignore[union-attr]
        while (await receive())["type"] != "http.disconnect":
            pass

    cluster = Cluster(never, break_off)
    async with cluster.running():
        response = await exchange(cluster.first.port, b"GET /x HTTP/1.1\r\nhost: h\r\n" + SIGNED + b"\r\n")
    assert response.endswith(b"half\r\n")  # without the last chunk
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("request_line", "field", "error"),
    [
        (b"POST /CreateStage", SIGNED, b'"exceptionMessage":'),
        (b"GET /watch/v1/me", SIGNED, b'{"status":503,"code":"BUSY"'),
    ],
)
async def test_without_an_owner_each_api_answers_in_its_form(
    request_line: bytes, field: bytes, error: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagebook.cluster.owner_search.PATIENCE_SECONDS", 0.2)
    async with Cluster(never, never).running() as cluster, connection(cluster.first.port) as (reader, writer):
        cluster.leases.owners[ACCOUNT] = None
        cluster.first.cluster.note_owners_changed()
        writer.write(request_line + b" HTTP/1.1\r\nhost: h\r\n" + field + b"content-length: 0\r\n\r\n")
        status, headers, body = await read_response(reader)
        assert (status, headers[b"retry-after"]) == (503, b"1")
        assert error in body


async def test_an_owner_that_cannot_be_reached_is_asked_until_another_one_has_the_account() -> None:
    owner = Recorder(answer)
    async with Cluster(never, owner).running() as cluster, connection(cluster.first.port) as (reader, writer):
        gone = AccountOwner(node="gone", run_id=9, internal_url="http://127.0.0.1:1")
        cluster.leases.owners[ACCOUNT] = gone
        cluster.first.cluster.note_owners_changed()
        writer.write(HEAD + b"content-length: 4\r\n\r\nbody")
        await until(lambda: cluster.first.cluster.counts.unreachable > 0)
        cluster.leases.owners[ACCOUNT] = cluster.second.owner
        status, _, body = await read_response(reader)
    assert (status, body, owner.bodies) == (201, b"body", [b"body"])


async def test_what_all_bodies_keep_is_bounded_and_freed() -> None:
    parts = [{"type": "http.request", "body": bytes(100), "more_body": True} for _ in range(6)]
    budget = KeptBytes(250)

    async def receive() -> Message:
        return parts.pop()

    first, second = RepeatableBody(receive, budget), RepeatableBody(receive, budget)
    for body in (first, first, second):
        await body.receive()
    assert (budget.used_bytes, first.rewind(), second.rewind()) == (200, True, False)
    first.forget()
    second.forget()
    assert budget.used_bytes == 0


async def test_a_body_above_the_limit_is_sent_once() -> None:
    size_bytes = REPEAT_LIMIT_BYTES + 1
    owner = Recorder(answer)
    async with Cluster(never, owner).running() as cluster:
        async with connection(cluster.first.port) as (reader, writer):
            writer.write(HEAD + b"content-length: %d\r\n\r\n" % size_bytes + bytes(size_bytes))
            assert len((await read_response(reader))[2]) == size_bytes
        cluster.second.local.run_id = 3  # the owner refuses what is for its former run
        async with connection(cluster.first.port) as (reader, writer):
            writer.write(HEAD + b"content-length: %d\r\n\r\n" % size_bytes + bytes(size_bytes))
            assert (await read_response(reader))[0] == 503
    assert len(owner.bodies) == 1


async def test_requests_in_progress_are_waited_for_when_the_node_stops() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def wait(_scope: Scope, _receive: Receive, send: Send) -> None:
        began.set()
        await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with Cluster(never, wait).running() as cluster, connection(cluster.first.port) as (reader, writer):
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        await began.wait()
        assert not await cluster.first.cluster.drain(timeout_seconds=0.01)
        async with connection(cluster.first.port) as (later, other):
            other.write(HEAD + b"content-length: 0\r\n\r\n")
            assert (await read_response(later))[0] == 503
        go.set()
        assert await cluster.first.cluster.drain(timeout_seconds=20)
        assert (await read_response(reader))[0] == 200


async def test_the_node_that_was_asked_lets_a_client_continue() -> None:
    owner = Recorder(answer)
    async with Cluster(never, owner).running() as cluster, connection(cluster.first.port) as (reader, writer):
        writer.write(HEAD + b"expect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await read_response(reader))[2] == b"body"
    assert not any(name == b"expect" for name, _ in owner.scopes[0]["headers"])
