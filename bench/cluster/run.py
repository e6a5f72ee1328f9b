"""The part `nodes`: requests to one node, to two nodes at once, and to a node that sends them on to the owner."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from bench.cluster.counted_load import send_requests
from bench.figures import median
from bench.machine import cpu_seconds
from bench.page.books import ACCOUNT_ID, BookPlan, BusyParticipant, write_book
from bench.page.measured_servers import check_page, exchange
from bench.page.signed_requests import sign_pages, wire_bytes
from bench.postgres.measured_database import MeasuredDatabase, measured_database, open_postgres_book
from bench.report import Part, Table, number
from tests.e2e.cluster.nodes import Node, running_nodes
from tests.postgres_server import NoPostgresError

_TITLE: Final = "Two nodes"
ROUNDS: Final = 3
REQUESTS: Final = 1_000
"""To each node that is asked."""
CONNECTIONS: Final = 16
"""To each node that is asked."""
PLAN: Final = BookPlan(sessions=5, busy_participants=20, busy_events=200, other_participants=200, other_events=10)
OTHER_ACCOUNT_ID: Final = "210987654321"
_OTHER_KEY: Final = {"aws_access_key_id": "AKIAOTHEREXAMPLE0000", "aws_secret_access_key": "another account's secret"}
_CONFIG: Final = f"""
[[credentials]]
access_key_id = "{_OTHER_KEY["aws_access_key_id"]}"
secret_access_key = "{_OTHER_KEY["aws_secret_access_key"]}"
account_id = "{OTHER_ACCOUNT_ID}"
user_name = "other"

[[credentials.policy.Statement]]
Effect = "Allow"
Action = "*"
Resource = "*"
"""
_WRITES: Final = 50
"""Different signed requests of each account."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that are sent at once: to each node (by its index) its own."""

    what: str
    requests: dict[int, list[bytes]]


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one load took. CPU is in microseconds a request: of both nodes, and of the database."""

    per_second: float
    nodes_us: tuple[float, ...]
    database_us: float

    @property
    def total_us(self) -> float:
        return sum(self.nodes_us) + self.database_us


def measure_nodes(folder: Path) -> Part:
    """Start two nodes, measure all loads in turns, and return the report; without PostgreSQL, the reason."""
    try:
        runs = _measured_runs(folder)
    except NoPostgresError as error:
        return Part(title=_TITLE, method=f"Not measured: {error}.", tables=(), targets=())
    return _report(runs)


def _measured_runs(folder: Path) -> dict[str, list[_Run]]:
    config = folder / "nodes.toml"
    config.write_text(_CONFIG, encoding="utf-8")
    config.chmod(0o600)
    with measured_database() as database:
        url = database.new_url()
        busy = uvloop.run(_write_book(url))
        with running_nodes(folder, database_url=url, count=2, STAGEBOOK_CONFIG=str(config)) as nodes:
            loads = _loads(nodes, busy)
            runs: dict[str, list[_Run]] = {load.what: [] for load in loads}
            for round_number in range(ROUNDS + 1):
                for load in loads:
                    run = _measure(load, nodes, database)
                    if round_number:  # The first round warms up.
                        runs[load.what].append(run)
    return runs


async def _write_book(url: str) -> list[BusyParticipant]:
    book = open_postgres_book(url, ACCOUNT_ID)
    busy = await write_book(book, PLAN)
    await book.close()
    return busy


def _loads(nodes: Sequence[Node], busy: Sequence[BusyParticipant]) -> list[Load]:
    """Return the loads, after the first node has taken the first account and the second node the other one."""
    writes = [_signed_writes(nodes[0].client()), _signed_writes(nodes[1].client(**_OTHER_KEY))]
    assert all(node.owns_account() for node in nodes)
    pages = sign_pages(nodes[0].client(), [(participant, None) for participant in busy])
    for node in nodes:
        check_page(exchange(node.port, pages[0]), busy[0])
    return [
        Load(what="pages, one node", requests={0: pages}),
        Load(what="pages, both nodes", requests={0: pages, 1: pages}),
        Load(what="writes of one account, its owner", requests={0: writes[0]}),
        Load(what="writes of two accounts, their owners", requests={0: writes[0], 1: writes[1]}),
        Load(what="writes of one account, the other node", requests={1: writes[0]}),
    ]


def _signed_writes(ivs: Any) -> list[bytes]:  # noqa: ANN401 - boto3's client
    """Create a stage, by which its account gets an owner; return signed requests that change its name."""
    arn = ivs.create_stage(name="measured")["stage"]["arn"]
    captured: list[bytes] = []
    ivs.meta.events.register(
        "before-send.ivs-realtime.UpdateStage", lambda request, **_: captured.append(wire_bytes(request))
    )
    for each in range(_WRITES):
        ivs.update_stage(arn=arn, name=f"name-{each}")
    return captured


def _measure(load: Load, nodes: Sequence[Node], database: MeasuredDatabase) -> _Run:
    """Send the requests of a load to all nodes that it asks, at once."""

    async def send() -> None:
        await asyncio.gather(
            *(
                send_requests(nodes[node].port, requests, count=REQUESTS, connections=CONNECTIONS)
                for node, requests in load.requests.items()
            )
        )

    before = [cpu_seconds(node.process_id) for node in nodes]
    of_database, start = database.cpu_seconds(), time.perf_counter()
    uvloop.run(send())
    seconds = time.perf_counter() - start
    count = REQUESTS * len(load.requests)
    return _Run(
        per_second=count / seconds,
        nodes_us=tuple(
            (cpu_seconds(node.process_id) - earlier) / count * 1e6 for node, earlier in zip(nodes, before, strict=True)
        ),
        database_us=(database.cpu_seconds() - of_database) / count * 1e6,
    )


def _report(runs: dict[str, list[_Run]]) -> Part:
    rows = []
    base: list[_Run] = []
    for what, measured in runs.items():
        if "one node" in what or "its owner" in what:
            base = measured
        pairs = list(zip(measured, base, strict=True))
        rows.append(
            (
                what,
                number(median([run.per_second for run in measured])),
                *(number(median([run.nodes_us[node] for run in measured])) for node in (0, 1)),
                number(median([run.database_us for run in measured])),
                f"{median([run.total_us / other.total_us for run, other in pairs]):.2f}",
                f"{median([max(other.nodes_us) / max(run.nodes_us) for run, other in pairs]):.2f}",
            )
        )
    headings = ("requests", "requests/s", "CPU us/request, node 1", "node 2", "PostgreSQL", "CPU, times one node")
    return Part(
        title=_TITLE,
        method=(
            "Two real nodes on one PostgreSQL with fsync, all on this machine, and requests signed by boto3 over "
            f"{CONNECTIONS} keep-alive connections to each node that is asked: pages of 50 events from a book of "
            f"{PLAN.events:,} events, which any node reads itself, and UpdateStage, which the owner of the account "
            "answers when it is durable. Node 1 owns one account, node 2 another one. Figures are medians of "
            f"{ROUNDS} rounds of {REQUESTS:,} requests to each node, with all rows in turn. CPU is that of "
            "the nodes' server processes and of all processes of PostgreSQL; the first ratio compares their sum with "
            "one node. The last column says how many times the requests of one node the busiest node could take on "
            "a core of its own, until PostgreSQL is the limit."
        ),
        tables=(Table(headings=(*headings, "capacity of the nodes"), rows=tuple(rows)),),
        targets=(),
    )
