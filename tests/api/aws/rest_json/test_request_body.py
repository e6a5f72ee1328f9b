"""Reading bodies within bounds of size and time."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.rest_json.header_members import CLOSE_CONNECTION
from stagebook.api.aws.rest_json.request_body import (
    DRAIN_SIZE_BYTES,
    MAXIMUM_SIZE_BYTES,
    BodyReader,
    ClientGoneError,
    Message,
)


class Client:
    """The sending side of a connection: gives its messages one by one, then waits for ever."""

    def __init__(self, *messages: Message) -> None:
        self._messages = iter(messages)
        self.asked = 0
        self.waits = asyncio.Event()

    async def receive(self) -> Message:
        self.asked += 1
        for message in self._messages:
            return message
        self.waits.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def reader(timeout_seconds: float = 60.0) -> BodyReader:
    return BodyReader(timeout_seconds=timeout_seconds)


async def test_a_body_may_come_whole_in_parts_or_not_at_all() -> None:
    assert await reader().read(Client(part(b"whole", more=False)).receive) == b"whole"
    assert (
        await reader().read(Client(part(b"a", more=True), part(b"b", more=True), part(b"c", more=False)).receive)
        == b"abc"
    )
    assert await reader().read(Client({"type": "http.request"}).receive) == b""


async def test_the_largest_body_is_taken() -> None:
    half = b"x" * (MAXIMUM_SIZE_BYTES // 2)
    assert await reader().read(Client(part(half, more=True), part(half, more=False)).receive) == half * 2
    assert await reader().read(Client(part(half * 2, more=False)).receive) == half * 2


@pytest.mark.parametrize("parts", [1, 2, 7])
async def test_a_larger_body_is_read_to_its_end_and_refused(parts: int) -> None:
    size = MAXIMUM_SIZE_BYTES // parts + 1
    client = Client(*(part(b"x" * size, more=i < parts - 1) for i in range(parts)))

    with pytest.raises(AwsError) as refused:
        await reader().read(client.receive)

    assert refused.value.error_type is ErrorType.REQUEST_ENTITY_TOO_LARGE
    assert refused.value.status == 413
    assert refused.value.headers == ()
    assert client.asked == parts


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    size = 64 * 1_024

    client = Client(*[part(b"x" * size, more=True)] * 1_000)
    with pytest.raises(AwsError) as refused:
        await reader().read(client.receive)

    assert refused.value.error_type is ErrorType.REQUEST_ENTITY_TOO_LARGE
    assert refused.value.headers == (CLOSE_CONNECTION,)
    assert client.asked <= DRAIN_SIZE_BYTES // size + 1


@pytest.mark.parametrize("before", [(), (part(b"x", more=True),)])
async def test_a_client_that_goes_away_is_noticed(before: tuple[Message, ...]) -> None:
    with pytest.raises(ClientGoneError):
        await reader().read(Client(*before, {"type": "http.disconnect"}).receive)


@pytest.mark.parametrize("before", [(), (part(b"x", more=True),)])
async def test_a_body_that_does_not_come_ends_with_a_timeout(before: tuple[Message, ...]) -> None:
    with pytest.raises(AwsError) as refused:
        await reader(0.05).read(Client(*before).receive)

    assert refused.value.error_type is ErrorType.REQUEST_TIMEOUT
    assert refused.value.status == 408
    assert refused.value.headers == (CLOSE_CONNECTION,)


async def test_the_task_lives_on_after_a_timeout() -> None:
    with pytest.raises(AwsError):
        await reader(0.02).read(Client().receive)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancelled_request_stays_cancelled() -> None:
    bodies = reader()
    client = Client()
    task = asyncio.create_task(bodies.read(client.receive))
    await client.waits.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_many_slow_readers_each_have_their_own_deadline() -> None:
    bodies = reader(0.1)

    def slow_clients() -> Iterator[asyncio.Task[bytes]]:
        for _ in range(20):
            yield asyncio.create_task(bodies.read(Client(part(b"x", more=True)).receive))

    slow = list(slow_clients())
    assert await bodies.read(Client(part(b"quick", more=False)).receive) == b"quick"
    results: list[Any] = await asyncio.gather(*slow, return_exceptions=True)

    assert {type(result) for result in results} == {AwsError}


async def test_nothing_is_kept_after_reading() -> None:
    bodies = reader(0.02)
    for client in (Client(part(b"x", more=False)), Client(), Client({"type": "http.disconnect"})):
        await asyncio.gather(asyncio.create_task(bodies.read(client.receive)), return_exceptions=True)
    gc.collect()

    assert not bodies._deadlines
    assert not bodies._overdue
