"""The rate of pipelined requests, counted in virtual time and over real sockets."""

import asyncio
from collections import Counter

import msgspec

from stagebook.server.http.pipeline_turns import PIPELINED_BURST, PipelineTurns
from tests.manager.presence.paced_stage import run
from tests.server.http.http_harness import LIMITS, EchoApplication, connection, read_response, running_server

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class PipeliningConnection:
    """A connection whose client always sends a further request."""

    def __init__(self, turns: PipelineTurns) -> None:
        self._turns = turns
        self.served = 0

    def begin(self) -> None:
        """Serve requests until the connection has to wait."""
        while self._turns.take(self):
            self.served += 1

    def serve_waiting(self) -> None:
        self.served += 1
        self.begin()


def test_connections_share_the_rate_equally() -> None:
    async def measure() -> tuple[int, list[int]]:
        turns = PipelineTurns(burst=10, per_second=100, monotonic=asyncio.get_running_loop().time)
        connections = [PipeliningConnection(turns) for _ in range(4)]
        for each in connections:
            each.begin()
        burst = sum(each.served for each in connections)
        await asyncio.sleep(10)
        return burst, [each.served for each in connections]

    burst, served = run(measure())
    assert burst == 10
    assert sum(served) <= 10 + 100 * 10
    assert min(served) >= 200
    assert max(served) <= 270


def test_after_a_stall_one_call_of_the_timer_serves_few() -> None:
    async def measure() -> int:
        seconds = 0.0
        turns = PipelineTurns(burst=100, per_second=100, monotonic=lambda: seconds)
        connections = [PipeliningConnection(turns) for _ in range(50)]
        for each in connections:
            each.begin()
        before = sum(each.served for each in connections)
        seconds = 0.5
        await asyncio.sleep(0.01)
        return sum(each.served for each in connections) - before

    assert 0 < run(measure()) <= 4


def test_a_connection_that_ended_gets_no_turn() -> None:
    async def measure() -> tuple[int, int]:
        turns = PipelineTurns(burst=1, per_second=100, monotonic=asyncio.get_running_loop().time)
        ended = PipeliningConnection(turns)
        ended.begin()
        turns.withdraw(ended)
        await asyncio.sleep(1)
        return ended.served, len(turns)

    assert run(measure()) == (1, 0)


async def test_pipelined_requests_above_the_rate_wait_and_others_do_not() -> None:
    application = EchoApplication()
    limits = msgspec.structs.replace(LIMITS, pipelined_per_second=0.001)
    number = PIPELINED_BURST + 10
    async with running_server(application, limits=limits) as (_, port), connection(port) as (reader, writer):
        writer.write(GET * number)
        # The first request is not a pipelined one: nothing precedes it.
        answered = Counter([(await read_response(reader))[0] for _ in range(PIPELINED_BURST + 1)])
        async with connection(port) as (other_reader, other):
            for _ in range(50):
                other.write(GET)
                assert (await read_response(other_reader))[0] == 200
        assert len(application.scopes) == PIPELINED_BURST + 1 + 50
    assert answered == {200: PIPELINED_BURST + 1}
