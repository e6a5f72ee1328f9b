"""Reading request bodies within a size limit and a time limit."""

import asyncio
import gc
from typing import Any

import pytest

from stagebook.api.asgi import Message
from stagebook.api.http_body import BodyReader, BodyTimeoutError, BodyTooLargeError, ClientDisconnectedError
from stagebook.stage.errors import ServerBusyError
from tests.api.body_client import BodyClient, body_part

MAX_SIZE_BYTES = 1_000
DRAIN_SIZE_BYTES = 8_000


async def read(client: BodyClient, *, timeout_seconds: float = 60.0, drain_size_bytes: int = DRAIN_SIZE_BYTES) -> bytes:
    bodies = BodyReader(timeout_seconds=timeout_seconds)
    return await bodies.read(client.receive, max_size_bytes=MAX_SIZE_BYTES, drain_size_bytes=drain_size_bytes)


async def test_a_body_has_one_several_or_no_parts() -> None:
    assert await read(BodyClient(body_part(b"whole", more=False))) == b"whole"
    parts = BodyClient(body_part(b"a", more=True), body_part(b"b", more=True), body_part(b"c", more=False))
    assert await read(parts) == b"abc"
    assert await read(BodyClient({"type": "http.request"})) == b""


async def test_the_largest_body_is_accepted() -> None:
    half = b"x" * (MAX_SIZE_BYTES // 2)
    assert await read(BodyClient(body_part(half, more=True), body_part(half, more=False))) == half * 2
    assert await read(BodyClient(body_part(half * 2, more=False))) == half * 2


@pytest.mark.parametrize("parts", [1, 2, 7])
async def test_a_larger_body_is_received_to_its_end_and_refused(parts: int) -> None:
    size = MAX_SIZE_BYTES // parts + 1
    client = BodyClient(*(body_part(b"x" * size, more=i < parts - 1) for i in range(parts)))

    with pytest.raises(BodyTooLargeError) as refused:
        await read(client)

    assert refused.value.is_complete
    assert client.receive_calls == parts


@pytest.mark.parametrize("drain_size_bytes", [0, MAX_SIZE_BYTES, DRAIN_SIZE_BYTES])
async def test_a_body_is_received_up_to_the_drain_size(drain_size_bytes: int) -> None:
    part_size = 100
    client = BodyClient(*[body_part(b"x" * part_size, more=True)] * 1_000)

    with pytest.raises(BodyTooLargeError) as refused:
        await read(client, drain_size_bytes=drain_size_bytes)

    assert not refused.value.is_complete
    assert client.receive_calls == max(MAX_SIZE_BYTES, drain_size_bytes) // part_size + 1


@pytest.mark.parametrize("before", [(), (body_part(b"x", more=True),)])
async def test_a_disconnected_client_is_an_error(before: tuple[Message, ...]) -> None:
    with pytest.raises(ClientDisconnectedError):
        await read(BodyClient(*before, {"type": "http.disconnect"}))


@pytest.mark.parametrize("before", [(), (body_part(b"x", more=True),)])
async def test_an_incomplete_body_times_out(before: tuple[Message, ...]) -> None:
    with pytest.raises(BodyTimeoutError):
        await read(BodyClient(*before), timeout_seconds=0.05)


async def test_the_task_is_not_cancelled_after_a_timeout() -> None:
    with pytest.raises(BodyTimeoutError):
        await read(BodyClient(), timeout_seconds=0.02)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancelled_read_stays_cancelled() -> None:
    client = BodyClient()
    task = asyncio.create_task(read(client))
    await client.is_waiting.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_each_of_many_concurrent_reads_has_its_own_deadline() -> None:
    bodies = BodyReader(timeout_seconds=0.1)

    async def read_from(client: BodyClient) -> bytes:
        return await bodies.read(client.receive, max_size_bytes=MAX_SIZE_BYTES)

    slow = [asyncio.create_task(read_from(BodyClient(body_part(b"x", more=True)))) for _ in range(20)]
    assert await read_from(BodyClient(body_part(b"quick", more=False))) == b"quick"
    results: list[Any] = await asyncio.gather(*slow, return_exceptions=True)

    assert {type(result) for result in results} == {BodyTimeoutError}


async def test_no_state_is_kept_after_a_read() -> None:
    bodies = BodyReader(timeout_seconds=0.02)
    for client in (BodyClient(body_part(b"x", more=False)), BodyClient(), BodyClient({"type": "http.disconnect"})):
        reading = asyncio.create_task(bodies.read(client.receive, max_size_bytes=MAX_SIZE_BYTES))
        await asyncio.gather(reading, return_exceptions=True)
    gc.collect()

    assert not bodies._deadlines
    assert not bodies._overdue
    assert not bodies._held


async def test_the_oldest_of_the_incomplete_bodies_is_given_up_at_the_limit_of_all() -> None:
    bodies = BodyReader(timeout_seconds=60.0, held_limit_bytes=1_000)
    slow = [BodyClient(body_part(b"x" * 450, more=True)) for _ in range(2)]
    waiting = []
    for client in slow:
        waiting.append(asyncio.create_task(bodies.read(client.receive, max_size_bytes=MAX_SIZE_BYTES)))
        await client.is_waiting.wait()

    parts = BodyClient(body_part(b"x" * 400, more=True), body_part(b"x" * 100, more=False))
    assert len(await bodies.read(parts.receive, max_size_bytes=MAX_SIZE_BYTES)) == 500
    with pytest.raises(ServerBusyError):
        await waiting[0]
    assert list(bodies._held) == [waiting[1]]
    whole = BodyClient(body_part(b"x" * MAX_SIZE_BYTES, more=False))
    assert len(await bodies.read(whole.receive, max_size_bytes=MAX_SIZE_BYTES)) == MAX_SIZE_BYTES

    waiting[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]
    assert (bodies._held, bodies._held_bytes, bodies._given_up) == ({}, 0, set())


async def test_a_body_that_is_above_the_limit_of_all_is_refused() -> None:
    bodies = BodyReader(timeout_seconds=60.0, held_limit_bytes=100)
    with pytest.raises(ServerBusyError):
        await bodies.read(BodyClient(body_part(b"x" * 101, more=True)).receive, max_size_bytes=MAX_SIZE_BYTES)
    assert bodies._held_bytes == 0
