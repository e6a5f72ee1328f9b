"""Real nodes, clients and participants, while a node or the database fails. `make chaos` runs all kinds of rounds.

The tests of this module share the nodes, and each failure moves the accounts to another node.
"""

import os
from collections.abc import Iterator

import pytest

from tests.chaos.acknowledged_writes import WritingClients
from tests.chaos.chaos_cluster import running_cluster, wait_for
from tests.chaos.chaos_peers import ChaosPeers
from tests.chaos.failure_rounds import ROUNDS, ChaosRun

CHAOS_ROUNDS = int(os.environ.get("ROUNDS", "1"))
LEFT_SECONDS = 4.0
"""By then LEFT of each participant of a node that is gone is in the book."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosRun]:
    with (
        running_cluster(tmp_path_factory.mktemp("chaos")) as cluster,
        WritingClients(cluster) as writes,
        ChaosPeers() as peers,
    ):
        wait_for(lambda: all(writes.by_account.values()), "the first writes")
        yield ChaosRun(cluster, writes, peers)


@pytest.mark.parametrize("kind", ["kill", "stop", "terminate"])
def test_a_failure_loses_nothing_and_doubles_nothing(run: ChaosRun, kind: str) -> None:
    print(run.round(kind))


@pytest.mark.chaos
@pytest.mark.timeout(60 * CHAOS_ROUNDS + 60)
@pytest.mark.parametrize("kind", ROUNDS)
def test_many_failures(run: ChaosRun, kind: str) -> None:
    """Nothing else uses the machine, so the time is that of the product."""
    found = []
    for _ in range(CHAOS_ROUNDS):
        found.append(run.round(kind))
        print(f"\n{found[-1]}", end="", flush=True)
    assert max(facts.left_seconds for facts in found) <= LEFT_SECONDS
