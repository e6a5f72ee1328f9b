"""A round of chaos: load before a failure, what must be true after it, and what is measured."""

import time
from concurrent.futures import Future
from typing import Final

import msgspec

from stagebook.stage.events import Cause
from tests.chaos.acknowledged_writes import AcknowledgedWrites
from tests.chaos.chaos_cluster import ACCOUNTS, ChaosCluster, ChaosNode, wait_for
from tests.chaos.chaos_peers import ChaosPeers
from tests.chaos.stored_facts import (
    database_seconds,
    last_taking,
    left_events,
    require_no_overlap,
    require_stored,
    transaction_number,
)

PEERS: Final = 3
LOAD_SECONDS: Final = 0.5


class RoundFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a round has measured, in seconds after the failure, by the clock of the database.

    `taken_seconds`: the accounts have another owner, 0 if they have none. `left_seconds`: all LEFT of the victim's
    participants are committed. `joined_seconds`: a participant who tries to join since the failure is connected.
    `written_seconds`: a client with boto3's own retries has its answer.
    """

    kind: str
    taken_seconds: float
    left_seconds: float
    joined_seconds: float
    written_seconds: float
    acknowledged: int
    refused: int
    unanswered: int

    def __str__(self) -> str:
        return (
            f"{self.kind}: taken after {self.taken_seconds:.2f} s, LEFT after {self.left_seconds:.2f} s, "
            f"joined after {self.joined_seconds:.2f} s, written after {self.written_seconds:.2f} s; "
            f"{self.acknowledged} acknowledged, {self.refused} refused, {self.unanswered} unanswered"
        )


class Round:
    """A round on a cluster under load."""

    def __init__(self, cluster: ChaosCluster, writes: AcknowledgedWrites, peers: ChaosPeers, kind: str) -> None:
        self.cluster = cluster
        self._writes = writes
        self._peers = peers
        self._kind = kind
        self._before = (writes.acknowledged, writes.refused, writes.unanswered)
        owners = cluster.owners()
        self.run, name, self._slot = owners[ACCOUNTS[0]]
        self.owner = cluster.node(name)
        self.accounts = sorted(account for account, (run, _, _) in owners.items() if run == self.run)
        self._since = transaction_number(cluster)

    def begin(self) -> None:
        """Let participants join the stages of the owner, through all nodes; note the time."""
        wait_for(lambda: self.cluster.taker(self.owner), "a node that may take accounts")
        taker = self.cluster.taker(self.owner)
        assert taker is not None
        self.other = taker
        nodes = [node for node in self.cluster.nodes if node.is_serving]
        self._participant_ids = []
        joining: list[Future[float]] = []
        for number in range(PEERS):
            node = nodes[number % len(nodes)]
            participant_id, token = self._new_token(node)
            self._participant_ids.append(participant_id)
            joining.append(self._peers.publish(node, token))
        for each in joining:
            each.result()
        time.sleep(LOAD_SECONDS)
        self._next_token = self._new_token(self.other)[1]
        self.failed_at = database_seconds(self.cluster)

    def try_again(self) -> None:
        """Let a participant join and a client with retries write, from now on, through a node that is not the owner."""
        self._joining = self._peers.publish(self.other, self._next_token)
        self.cluster.client(self.other, ACCOUNTS[0], retries=True).create_stage(name=f"retried-{time.time_ns()}")
        self._written_at = time.time()

    def wait_for_left(self, cause: Cause) -> float:
        """Wait until LEFT of all participants is stored; return when the last one was committed."""
        wait_for(lambda: len(self._left()) == PEERS, "LEFT of all participants")
        left = self._left().values()
        assert {found for found, _ in left} == {cause}
        return max(seconds for _, seconds in left) - self.failed_at

    def require_same_owner(self) -> None:
        """Raise AssertionError if an account has got another owner, or a participant was taken for gone."""
        assert all(self.cluster.owners()[each][0] == self.run for each in self.accounts)
        assert self._left() == {}

    def finish(self, left_seconds: float = 0.0) -> RoundFacts:
        """Wait until all accounts are written again, then check everything."""
        joined_at = self._joining.result()
        known = dict(self._writes.by_account)
        wait_for(
            lambda: all(self._writes.by_account[each] > count for each, count in known.items()),
            "writes to all accounts",
        )
        require_stored(self.cluster, self._writes)
        if left_seconds:
            require_no_overlap(self.cluster, self.accounts, old_slot=self._slot, since=self._since)
        self._peers.close_all()
        acknowledged, refused, unanswered = self._before
        return RoundFacts(
            kind=self._kind,
            taken_seconds=max(0.0, last_taking(self.cluster, self.accounts) - self.failed_at),
            left_seconds=left_seconds,
            joined_seconds=joined_at - self.failed_at,
            written_seconds=self._written_at - self.failed_at,
            acknowledged=self._writes.acknowledged - acknowledged,
            refused=self._writes.refused - refused,
            unanswered=self._writes.unanswered - unanswered,
        )

    def _left(self) -> dict[str, tuple[Cause | None, float]]:
        return left_events(self.cluster, self._participant_ids)

    def _new_token(self, node: ChaosNode) -> tuple[str, str]:
        client = self.cluster.client(node, ACCOUNTS[0], retries=True)
        created = client.create_stage(participantTokenConfigurations=[{"userId": "peer"}])
        token = created["participantTokens"][0]
        return token["participantId"], token["token"]
