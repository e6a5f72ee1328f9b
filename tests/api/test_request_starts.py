"""How many requests begin in each turn of the event loop, and in which order."""

import asyncio
from itertools import count, groupby

from stagebook.api.request_starts import STARTS_PER_TURN, RequestStarts


class StartedRequests:
    """Requests that begin at once or wait, with the turn of the event loop in which each of them began."""

    def __init__(self) -> None:
        self.starts = RequestStarts()
        self.begun: list[tuple[int, str]] = []
        self._turn = 0

    async def serve(self, address: str) -> None:
        if not self.starts.begins_now():
            await self.starts.wait(address)
        self.begun.append((self._turn, address))

    async def serve_all(self, *addresses: str) -> list[list[str]]:
        """Serve requests that arrive together; return the addresses of those that began in each turn."""
        tasks = [asyncio.create_task(self.serve(address)) for address in addresses]
        for self._turn in count():
            if all(task.done() for task in tasks):
                break
            await asyncio.sleep(0)
        return [[address for _, address in found] for _, found in groupby(self.begun, key=lambda each: each[0])]


async def test_few_requests_begin_in_one_turn() -> None:
    turns = await StartedRequests().serve_all(*["127.0.0.2"] * 30)
    assert sum(map(len, turns)) == 30
    assert max(map(len, turns)) <= STARTS_PER_TURN <= 4


async def test_a_network_with_one_request_does_not_wait_for_all_of_another_one() -> None:
    turns = await StartedRequests().serve_all(*["127.0.0.2"] * 30, "127.0.0.1")
    assert "127.0.0.1" in turns[1]


async def test_addresses_of_one_ipv6_network_have_one_turn() -> None:
    addresses = [f"2001:db8::{number:x}" for number in range(1, 31)]
    turns = await StartedRequests().serve_all(*addresses, "127.0.0.1")
    assert "127.0.0.1" in turns[1]


async def test_a_request_that_is_cancelled_takes_no_turn() -> None:
    requests = StartedRequests()
    tasks = [asyncio.create_task(requests.serve("127.0.0.2")) for _ in range(STARTS_PER_TURN + 20)]
    await asyncio.sleep(0)
    for task in tasks[STARTS_PER_TURN:-1]:
        task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert tasks[-1].done()
    assert len(requests.begun) == STARTS_PER_TURN + 1


async def test_requests_that_arrive_one_after_the_other_do_not_wait() -> None:
    starts = RequestStarts()
    for _ in range(10 * STARTS_PER_TURN):
        assert starts.begins_now()
        await asyncio.sleep(0)
