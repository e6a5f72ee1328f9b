"""What all HTTP connections of a server share: their settings, their budgets and their counters."""

from collections import Counter

import msgspec

from stagebook.api.aws.request_ids import RequestIds
from stagebook.server.http.connection_counts import ConnectionCounts
from stagebook.server.http.connection_flow import InputBudget
from stagebook.server.http.idle_connections import IdleConnections
from stagebook.server.http.pipeline_turns import PipelineTurns

REFUSED_CONNECTIONS = 128
"""Connections above the limit that are kept until they got their 503. Further ones are closed at once: each is an open
file of the process, and the book and the media processes need some too."""

CLOSED = 0
"""Stands for the status of a connection that was closed without a response."""


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the connections of a server share. `request_timeout_seconds` also bounds a client that does not read."""

    request_timeout_seconds: float
    keep_alive_seconds: float
    request_ids: RequestIds
    input_budget: InputBudget
    connection_counts: ConnectionCounts
    idle_connections: IdleConnections
    refused: Counter[int]
    """The requests that were refused before any application got them, by status; CLOSED counts the connections that
    were closed without a response."""
    pipeline_turns: PipelineTurns | None = None
    """Bounds the rate of pipelined requests; None for no bound."""
    can_cut: bool = False
    """Whether applications may close a connection on purpose (`CUT_EXTENSION`)."""
