"""The commands that a test gives to the relay process, and its answers: lines with one JSON object each."""

from typing import TypeAlias

import msgspec

from tests.network.emulator.link_conditions import LinkConditions
from tests.network.emulator.link_counters import LinkReport


class OpenRelay(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Relay between one peer and the server at `host` and `port`."""

    name: str
    host: str
    port: int
    to_server: LinkConditions
    to_peer: LinkConditions
    seed: int


class ChangeRelay(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Use other conditions. None: the direction stays as it is."""

    name: str
    to_server: LinkConditions | None
    to_peer: LinkConditions | None


class RebindRelay(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Reach the server from another port."""

    name: str


class ReadRelay(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Report the counters."""

    name: str


class CloseRelay(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Close the sockets and forget the counters."""

    name: str


RelayCommand: TypeAlias = OpenRelay | ChangeRelay | RebindRelay | ReadRelay | CloseRelay


class RelayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to each command: the port for the peer, and the counters of both directions."""

    port: int
    to_server: LinkReport
    to_peer: LinkReport
