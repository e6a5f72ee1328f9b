"""Whatever happens to the owner of accounts, or to the database: what was acknowledged is stored, once, by one owner.

`make chaos` runs more rounds. The nodes are small processes (`fencing_node.py`). Rounds mostly wait for a lease, so
those of different kinds run at the same time.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.book.postgres.fencing_rounds import ROUNDS, run_database_round, run_round

CHAOS_ROUNDS = int(os.environ.get("ROUNDS", "5"))


def test_nothing_acknowledged_is_lost_or_doubled_when_an_owner_fails(postgres_server_url: str) -> None:
    with ThreadPoolExecutor() as threads:
        running = {kind: threads.submit(run_round, kind, postgres_server_url) for kind in ROUNDS}
        of_database = threads.submit(run_database_round)
        results = {kind: each.result() for kind, each in running.items()}
    for result in (*results.values(), of_database.result()):
        result.require_correct()
    assert {kind: result.end_of_a for kind, result in results.items()} == {
        "kill": "",
        "stop": "RunFencedError",
        "cut": "RunFencedError",
    }


@pytest.mark.chaos
@pytest.mark.timeout(60 * CHAOS_ROUNDS + 60)
@pytest.mark.parametrize("kind", [*ROUNDS, "database"])
def test_many_rounds(postgres_server_url: str, kind: str) -> None:
    taken_seconds = []
    for _ in range(CHAOS_ROUNDS):
        result = run_database_round() if kind == "database" else run_round(kind, postgres_server_url)
        result.require_correct()
        taken_seconds.append(result.taken_seconds)
    taken_seconds.sort()
    print(f"\n{kind}: taken over and closed after {taken_seconds[len(taken_seconds) // 2]:.2f} s in the middle round,")
    print(f"{taken_seconds[-1]:.2f} s in the slowest of {CHAOS_ROUNDS}")
