"""Rounds in which the owner of accounts is killed, stopped or cut off, and what must be true of the book afterwards.

    python -m tests.book.postgres.fencing_rounds KIND ROUNDS

Node A owns all accounts and writes, node B is ready to take over. Then something happens to A, or to the database. The
kinds of rounds are in ROUNDS.
"""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import migrate
from tests.book.postgres.cuttable_proxy import CuttableProxy
from tests.book.postgres.fencing_node import JOINED, LEFT, PARTICIPANTS_OF_RUN, RECOVERED
from tests.book.postgres.node_process import NodeProcess, wait_until
from tests.postgres_server import PostgresServer, database, running_server

ACCOUNTS: Final = 3

# In each account: what A has written of its own accord, and what B has written, also to close what A left open.
_OVERLAPS: Final = """
SELECT count(*) FROM (
    SELECT session_key,
        max(sequence) FILTER (WHERE participant_number / %(size)s = %(a)s AND detail IS NULL) AS last_of_a,
        min(sequence) FILTER (WHERE participant_number / %(size)s = %(b)s OR detail = %(recovered)s) AS first_of_b
    FROM event GROUP BY session_key) AS account
WHERE last_of_a >= first_of_b
"""
_DOUBLES: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM event GROUP BY session_key, participant_number, name HAVING count(*) > 1) AS twice
"""
_NOT_CLOSED: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM event WHERE participant_number / %(size)s = %(a)s
    GROUP BY session_key, participant_number HAVING count(*) <> 2) AS not_closed
"""


class RoundResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a round has found. `taken_seconds` is from the failure until everything was taken and closed."""

    acknowledged: int
    lost: int
    doubles: int
    overlaps: int
    not_closed: int
    recovered: int
    taken_seconds: float
    end_of_a: str
    """Why A has ended by itself: the name of an error; empty if it has not."""

    def require_correct(self) -> None:
        """Raise AssertionError if anything that was acknowledged is not true."""
        assert self.acknowledged, "the round has written nothing"
        assert (self.lost, self.doubles, self.overlaps, self.not_closed) == (0, 0, 0, 0), self


class Nodes:
    """Node A, behind a proxy, and node B on the same book. A owns all accounts; some time has passed."""

    def __init__(self, url: str, a: NodeProcess, b: NodeProcess, proxy: CuttableProxy) -> None:
        self.url = url
        self.a = a
        self.b = b
        self.proxy = proxy


@contextmanager
def nodes_at_work(url: str) -> Iterator[Nodes]:
    """Run the nodes until A has written for a while and B has been in contact for a lease."""
    connection = PostgresConnection(url)
    migrate(connection)
    connection.close()
    with CuttableProxy(url) as proxy, NodeProcess(proxy.url, ACCOUNTS) as a:
        a.wait_for("took", ACCOUNTS)
        with NodeProcess(url, ACCOUNTS) as b:
            b.wait_for("started", 1)
            time.sleep(random.uniform(0.5, 1.5))
            yield Nodes(url, a, b, proxy)


def killed(nodes: Nodes) -> RoundResult:
    """A is killed."""
    happened = time.time()
    nodes.a.signal(signal.SIGKILL)
    taken_seconds = _taken_over(nodes, happened)
    return _checked(nodes, taken_seconds)


def stopped(nodes: Nodes) -> RoundResult:
    """A is stopped for longer than its lease, and goes on."""
    happened = time.time()
    nodes.a.signal(signal.SIGSTOP)
    taken_seconds = _taken_over(nodes, happened)
    nodes.a.signal(signal.SIGCONT)
    nodes.a.wait_for_end()
    return _checked(nodes, taken_seconds)


def cut_off(nodes: Nodes) -> RoundResult:
    """The network between A and the database swallows everything for longer than the lease, and heals."""
    happened = time.time()
    nodes.proxy.cut()
    taken_seconds = _taken_over(nodes, happened)
    nodes.proxy.heal()
    nodes.a.wait_for_end()
    return _checked(nodes, taken_seconds)


def database_killed(nodes: Nodes, server: PostgresServer) -> RoundResult:
    """All processes of the database are killed, and it starts again. A goes on, and B takes nothing."""
    server.kill()
    known = nodes.a.count("ack")
    server.start()
    wait_until(lambda: nodes.a.count("ack") > known + 100, "A writes again")
    time.sleep(4.0)  # Longer than a lease: B would take now, if it took the heartbeats for old ones.
    assert nodes.b.count("took") == 0
    assert nodes.a.is_running
    nodes.a.signal(signal.SIGKILL)
    taken_seconds = _taken_over(nodes, time.time())
    return _checked(nodes, taken_seconds)


ROUNDS: Final[Mapping[str, Callable[[Nodes], RoundResult]]] = {"kill": killed, "stop": stopped, "cut": cut_off}


def run_round(kind: str, server_url: str) -> RoundResult:
    """Run a round of a kind of ROUNDS in a new database of a server."""
    with database(server_url) as url, nodes_at_work(url) as nodes:
        return ROUNDS[kind](nodes)


def run_database_round() -> RoundResult:
    """Run a round of `database_killed` on a server of its own, with fsync."""
    with running_server() as server, nodes_at_work(server.url()) as nodes:
        return database_killed(nodes, server)


def _taken_over(nodes: Nodes, happened: float) -> float:
    """Wait until B has taken all accounts; return how long it took until the last one was closed, in seconds."""
    took = nodes.b.wait_for("took", ACCOUNTS)
    time.sleep(0.3)  # B writes events of its own.
    return float(took[-1]["time"]) - happened


def _checked(nodes: Nodes, taken_seconds: float) -> RoundResult:
    nodes.b.signal(signal.SIGKILL)
    for node in (nodes.a, nodes.b):
        node.wait_for_end()
    a_run, b_run = (node.wait_for("started", 1)[0]["run"] for node in (nodes.a, nodes.b))
    values = {"size": PARTICIPANTS_OF_RUN, "a": a_run, "b": b_run, "recovered": RECOVERED}
    connection = PostgresConnection(nodes.url)

    def number(statement: str) -> int:
        return int(connection.execute(statement, values)[0][0])

    stored = set(connection.execute("SELECT session_key, participant_number, name FROM event"))
    acknowledged = [*nodes.a.lines("ack"), *nodes.b.lines("ack")]
    result = RoundResult(
        acknowledged=len(acknowledged),
        lost=sum((line["account"], line["participant"], line["name"]) not in stored for line in acknowledged),
        doubles=number(_DOUBLES),
        overlaps=number(_OVERLAPS),
        not_closed=number(_NOT_CLOSED),
        recovered=sum(line["recovered"] for line in nodes.b.lines("took")),
        taken_seconds=taken_seconds,
        end_of_a=_reason(nodes.a.lines("ended")),
    )
    connection.close()
    assert {name for _, _, name in stored} <= {JOINED, LEFT}
    return result


def _reason(ended: list[dict[str, Any]]) -> str:
    return str(ended[0]["why"]) if ended else ""


def main() -> None:
    """Run rounds and print what they found."""
    kind, rounds = sys.argv[1], int(sys.argv[2])
    with running_server(fsync=False) as server:
        for _ in range(rounds):
            result = run_database_round() if kind == "database" else run_round(kind, server.url())
            print(result, flush=True)
            result.require_correct()


if __name__ == "__main__":
    main()
