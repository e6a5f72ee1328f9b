"""Rounds in which a node or the database fails, and what must be true after each.

    python -m tests.chaos.failure_rounds KIND ...

Three nodes serve two accounts. Writers and participants use all nodes. Then something happens to one node (the victim)
or to the database. The kinds of rounds are in ROUNDS. `make chaos` runs them.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from stagebook.stage.events import Cause
from tests.chaos.acknowledged_writes import AcknowledgedWrites, WritingClients
from tests.chaos.chaos_cluster import ChaosCluster, ChaosNode, running_cluster, wait_for
from tests.chaos.chaos_peers import ChaosPeers
from tests.chaos.chaos_round import Round, RoundFacts

EXIT_STOPPED, EXIT_FENCED = 0, 3
FENCED_MESSAGE: Final = "another node has taken over the accounts of this one"
LEASE_SECONDS: Final = 3.0
STOPPED_SECONDS: Final = 10.0


def killed(this: Round) -> RoundFacts:
    """The owner is killed."""
    this.owner.process.send_signal(signal.SIGKILL)
    this.owner.is_avoided = True
    this.try_again()
    left_seconds = this.wait_for_left(Cause.CRASH_RECOVERY)
    this.owner.process.wait()
    return this.finish(left_seconds)


def stopped(this: Round) -> RoundFacts:
    """The owner is stopped for longer than its lease, and goes on."""
    this.owner.process.send_signal(signal.SIGSTOP)
    this.owner.is_avoided = True
    this.try_again()
    left_seconds = this.wait_for_left(Cause.CRASH_RECOVERY)
    this.owner.process.send_signal(signal.SIGCONT)
    _require_fenced(this.owner)
    return this.finish(left_seconds)


def black_hole(this: Round) -> RoundFacts:
    """The network between the owner and the database swallows everything for longer than the lease, and heals."""
    this.owner.proxy.cut()
    return _cut_off(this)


def refused(this: Round) -> RoundFacts:
    """The owner cannot connect to the database for longer than the lease, then it can."""
    this.owner.proxy.refuse()
    return _cut_off(this)


def _cut_off(this: Round) -> RoundFacts:
    this.try_again()
    left_seconds = this.wait_for_left(Cause.CRASH_RECOVERY)
    this.owner.proxy.heal()
    _require_fenced(this.owner)
    return this.finish(left_seconds)


def terminated(this: Round) -> RoundFacts:
    """The owner gets SIGTERM, as in a rolling restart. Others take its accounts without waiting for a lease."""
    this.owner.is_avoided = True
    this.owner.process.send_signal(signal.SIGTERM)
    this.try_again()
    left_seconds = this.wait_for_left(Cause.SHUTDOWN)
    assert this.owner.process.wait() == EXIT_STOPPED
    return this.finish(left_seconds)


def asked_node_killed(this: Round) -> RoundFacts:
    """A node that owns nothing is killed while it sends requests on."""
    asked, this.other = this.other, this.owner
    asked.process.send_signal(signal.SIGKILL)
    asked.is_avoided = True
    this.try_again()
    asked.process.wait()
    this.require_same_owner()
    return this.finish()


def database_killed(this: Round) -> RoundFacts:
    """All processes of the database are killed, and it starts again. Nobody loses an account."""
    this.cluster.server.kill()
    this.cluster.server.start()
    this.try_again()
    time.sleep(LEASE_SECONDS + 1.0)  # Others would take the accounts now, if they took the heartbeats for old ones.
    this.require_same_owner()
    return this.finish()


def database_stopped(this: Round) -> RoundFacts:
    """All processes of the database are stopped for STOPPED_SECONDS, and go on. Nobody loses an account."""
    this.cluster.server.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    this.cluster.server.send_signal(signal.SIGCONT)
    this.try_again()
    time.sleep(LEASE_SECONDS + 1.0)
    this.require_same_owner()
    return this.finish()


ROUNDS: Final[Mapping[str, Callable[[Round], RoundFacts]]] = MappingProxyType(
    {
        "kill": killed,
        "stop": stopped,
        "black hole": black_hole,
        "refuse": refused,
        "terminate": terminated,
        "kill asked node": asked_node_killed,
        "kill database": database_killed,
        "stop database": database_stopped,
    }
)


class ChaosRun:
    """Rounds on one cluster, with the same writers."""

    def __init__(self, cluster: ChaosCluster, writes: AcknowledgedWrites, peers: ChaosPeers) -> None:
        self._cluster = cluster
        self._writes = writes
        self._peers = peers

    def round(self, kind: str, fail: Callable[[Round], RoundFacts] | None = None) -> RoundFacts:
        """Run a round of a kind of ROUNDS, or of another one, which `fail` makes."""
        this = Round(self._cluster, self._writes, self._peers, kind)
        this.begin()
        facts = (fail or ROUNDS[kind])(this)
        self._cluster.start_missing()
        return facts


def _require_fenced(node: ChaosNode) -> None:
    node.is_avoided = True
    assert node.process.wait() == EXIT_FENCED, node.process.output
    assert FENCED_MESSAGE in node.process.output, node.process.output


def main() -> None:
    """Run rounds of the kinds in the arguments, and print what was measured."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_cluster(Path(folder)) as cluster,
        WritingClients(cluster) as writes,
        ChaosPeers() as peers,
    ):
        wait_for(lambda: all(writes.by_account.values()), "the first writes")
        run = ChaosRun(cluster, writes, peers)
        for kind in sys.argv[1:]:
            print(run.round(kind), flush=True)


if __name__ == "__main__":
    main()
