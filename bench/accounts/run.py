"""The part `accounts`: memory of accounts that a node owns and in which nothing happens, in front of a distant book."""

import tracemalloc
from pathlib import Path

import msgspec

from bench.report import Part, Table, number
from stagebook.book.book_values import Revocation
from stagebook.book.memory.account_memory import AccountMemory
from stagebook.book.memory.loaded_account import LoadedAccount
from stagebook.book.tables.account_keys import AccountKeys
from stagebook.book.tables.key_sequence import FollowingKeys
from stagebook.book.tables.loaded_row_keys import LoadedRowKeys
from stagebook.stage.resources import IngestConfiguration, IngestProtocol, Stage

ACCOUNTS = 1_000


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What each account of a measurement has."""

    stages: int = 0
    configurations: int = 0
    revocations: int = 0


KINDS = {
    "no stage": Kind(),
    "1 stage": Kind(stages=1),
    "100 stages and 10 ingest configurations": Kind(stages=100, configurations=10),
    "1 stage with 1,000 participants that were disconnected": Kind(stages=1, revocations=1_000),
}


def measure_accounts(_folder: Path) -> Part:
    """Load accounts of each kind; return the report."""
    rows = [(what, number(_bytes_per_account(kind, ACCOUNTS))) for what, kind in KINDS.items()]
    return Part(
        title="Accounts in memory",
        method=(
            f"A node with a book in PostgreSQL keeps what its decisions read of the accounts that it owns, and their "
            f"row keys. {ACCOUNTS:,} accounts are loaded as from a book, and the memory that is allocated then is "
            "divided by their number (tracemalloc). Nothing else of an account is kept while nothing happens in it."
        ),
        tables=(Table(headings=("each account has", "bytes"), rows=tuple(rows)),),
        targets=(),
    )


def _bytes_per_account(kind: Kind, accounts: int) -> float:
    memory, keys = (
        AccountMemory(),
        LoadedRowKeys(stage_keys=FollowingKeys(0), session_keys=FollowingKeys(0), composition_keys=FollowingKeys(0)),
    )
    tracemalloc.start()
    try:
        for account in range(accounts):
            account_id = f"{account:012}"
            stages = tuple(_stage(account_id, each) for each in range(kind.stages))
            configurations = tuple(_configuration(account_id, each) for each in range(kind.configurations))
            revocations = tuple(Revocation(stages[0].arn, f"P{each:011}") for each in range(kind.revocations))
            memory.add(
                LoadedAccount(account_id=account_id, stages=stages, resources=configurations, revocations=revocations)
            )
            # An integer of its own for each key, as a reader returns it.
            stage_keys = {stage.arn: 1_000 * (account + 1) + each for each, stage in enumerate(stages)}
            keys.add_account(AccountKeys(account_id=account_id, stages=stage_keys))
        del stages, configurations, revocations, stage_keys
        size_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return size_bytes / accounts


def _stage(account_id: str, each: int) -> Stage:
    arn = f"arn:aws:ivs:us-west-2:{account_id}:stage/{each:012}"
    return Stage(arn=arn, account_id=account_id, name=f"stage-{each}", created_ms=1_700_000_000_000 + each)


def _configuration(account_id: str, each: int) -> IngestConfiguration:
    return IngestConfiguration(
        arn=f"arn:aws:ivs:us-west-2:{account_id}:ingest-configuration/{each:012}",
        account_id=account_id,
        created_ms=1_700_000_000_000 + each,
        ingest_protocol=IngestProtocol.RTMPS,
        participant_id=f"E{each:011}",
        stream_key=f"rt_{account_id}_us-west-2_{each:012}_" + "k" * 30,
    )
