"""What a node knows of the owners after some reads: the same as after one read of everything."""

import random

from stagebook.book.postgres.leases.lease_reads import LeasePosition, LeaseRead, LivingRun
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.known_leases import KnownLeases

ACCOUNT, OTHER = "111122223333", "444455556666"


def read(runs: dict[str, int], living: set[int], *, is_complete: bool = False) -> LeaseRead:
    return LeaseRead(
        runs=runs,
        is_complete=is_complete,
        database_seconds=0.0,
        position=LeasePosition(
            session=None,
            transaction_id="1",
            living={run: LivingRun(node=f"node-{run}", internal_url=f"http://{run}") for run in living},
        ),
    )


def owner(run_id: int) -> AccountOwner:
    return AccountOwner(node=f"node-{run_id}", run_id=run_id, internal_url=f"http://{run_id}")


def test_owners_are_those_of_living_runs() -> None:
    known = KnownLeases()
    known.apply(read({ACCOUNT: 1, OTHER: 2}, {1}, is_complete=True))
    assert known.owners == {ACCOUNT: owner(1), OTHER: None}
    taken = read({OTHER: 1}, {1})
    known.apply(taken)
    assert known.owners == {ACCOUNT: owner(1), OTHER: owner(1)}
    assert known.position is taken.position


def test_the_owners_are_the_same_mapping_until_one_changes() -> None:
    known = KnownLeases()
    known.apply(read({ACCOUNT: 1}, {1}, is_complete=True))
    owners = known.owners
    known.apply(read({}, {1}))
    known.apply(read({ACCOUNT: 1}, {1}))
    assert known.owners is owners
    known.apply(read({}, set()))
    assert (owners, known.owners) == ({ACCOUNT: owner(1)}, {ACCOUNT: None})


def test_accounts_of_dead_runs_and_unknown_own_ones_are_abandoned() -> None:
    known = KnownLeases()
    known.apply(read({ACCOUNT: 1, OTHER: 2}, {1, 2}, is_complete=True))
    assert known.abandoned(run_id=2, held=[OTHER]) == ()
    assert known.abandoned(run_id=2, held=[]) == (OTHER,)
    known.apply(read({}, {2}))
    assert known.abandoned(run_id=2, held=[OTHER]) == (ACCOUNT,)


def test_many_reads_of_changes_are_as_one_complete_read() -> None:
    chance = random.Random(7)
    known, runs = KnownLeases(), dict[str, int]()
    for _ in range(300):
        changes = {str(chance.randrange(20)): chance.randrange(4) for _ in range(chance.randrange(3))}
        runs |= changes
        living = {run for run in range(4) if chance.random() < 0.8}
        is_complete = chance.random() < 0.1
        if is_complete and runs and chance.random() < 0.5:
            # After a failover that has lost something.
            runs.pop(next(iter(runs)))
        known.apply(read(dict(runs) if is_complete else changes, living, is_complete=is_complete))
        fresh = KnownLeases()
        fresh.apply(read(runs, living, is_complete=True))
        assert known.owners == fresh.owners
        assert known.abandoned(run_id=1, held=["3"]) == fresh.abandoned(run_id=1, held=["3"])
