"""What a node of a cluster knows of itself, for `/health`, the metrics and the other nodes."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class DatabaseContactState(StrEnum):
    """Whether a node has renewed its run in the database lately. UNREACHABLE: not for about 5 seconds."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"


class NodeHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A node in `/health`.

    `lease_seconds` is the time until the node stops serving its accounts, unless it renews its run before: about 2.5
    when all is well, negative when it is too late. `accounts` is the number that it owns, `backlog` the transactions
    that wait for the database.
    """

    name: str
    run_id: int
    accounts: int
    database: DatabaseContactState
    lease_seconds: float
    backlog: int


class MeasuredNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node in the metrics. The mappings are counts since its start, by kind, reason or part; reads wait now."""

    health: NodeHealth
    forwarded: Mapping[str, int]
    forwarding_failures: Mapping[str, int]
    refused: Mapping[str, int]
    """Requests of other nodes that were refused."""
    taken_accounts: Mapping[str, int]
    """From other nodes, or free ones."""
    waiting_reads: Mapping[str, int]
    database_errors: Mapping[str, int]
