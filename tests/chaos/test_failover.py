"""The database fails over to a synchronous standby: what was acknowledged is there, and nobody loses an account."""

import time
from pathlib import Path

import pytest

from tests.chaos.acknowledged_writes import WritingClients
from tests.chaos.chaos_cluster import DATABASE_SETTINGS, running_nodes_on, wait_for
from tests.chaos.chaos_peers import ChaosPeers
from tests.chaos.chaos_round import Round, RoundFacts
from tests.chaos.failure_rounds import LEASE_SECONDS, ChaosRun
from tests.postgres_server import running_server


@pytest.mark.chaos
def test_a_standby_takes_over_from_a_primary_that_is_killed(tmp_path: Path) -> None:
    with (
        running_server(settings=DATABASE_SETTINGS) as primary,
        running_server(settings=DATABASE_SETTINGS, primary=primary) as standby,
        running_nodes_on(tmp_path, primary, standby=standby) as cluster,
        WritingClients(cluster) as writes,
        ChaosPeers() as peers,
    ):
        wait_for(lambda: all(writes.by_account.values()), "the first writes")

        def failed_over(this: Round) -> RoundFacts:
            primary.kill()
            standby.promote()
            this.try_again()
            time.sleep(LEASE_SECONDS + 1.0)
            this.require_same_owner()
            return this.finish()

        print(f"\n{ChaosRun(cluster, writes, peers).round('fail over', failed_over)}")
