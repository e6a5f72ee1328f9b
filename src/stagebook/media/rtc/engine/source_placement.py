"""Which engine has which source and connection. The pool's bookkeeping: no I/O.

A source has an engine of its own, with all of its publishers. The first publisher decides: it goes to the running
engine with the fewest connections. The number of connections is the best estimate of the load to come: a viewer costs
about the same on every engine, and a measured CPU time would say nothing about sources that have just been placed.

Viewers go to the source's engine too, until it has RELAY_MARGIN connections more than the least loaded one. Then the
source is relayed to that engine, and viewers go to whichever engine of the source has the fewest connections. A relay
costs each engine about as much as the publisher, so a few viewers are not worth one.

The bookkeeping follows the forwarder's rules. A source stays until it is ended once a publisher has been accepted. A
publisher that connects replaces the older ones of its source (`sfu.forwarder`). A relay ends with its last viewer.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

RELAY_MARGIN: Final = 32
"""How many connections more than the least loaded engine the engines of a source have before it is relayed."""


class Relay(NamedTuple):
    """A source that is relayed to an engine."""

    source_id: str
    engine: int


class _PlacedSource(msgspec.Struct, kw_only=True):
    engine: int
    established: bool = False
    """Whether the engine has accepted a publisher. The engine then keeps the source until it is ended."""
    publishers: list[str] = []
    """Connection ids, oldest first. There are several while a newer publisher is connecting, and with redundancy."""
    redundant: set[str] = set()
    """The publishers that do not replace others."""
    viewers: set[str] = set()
    relays: dict[int, int] = {}
    """The number of viewers on each engine that the source is relayed to."""


class _ConnectionPlace(NamedTuple):
    """Where a connection is."""

    source_id: str
    engine: int


class SourcePlacement:
    """Sources and connections by engine number."""

    def __init__(self, *, relay_margin: int = RELAY_MARGIN) -> None:
        self._relay_margin = relay_margin
        self._sources: dict[str, _PlacedSource] = {}
        self._places: dict[str, _ConnectionPlace] = {}
        """By connection id."""
        self._loads: dict[int, int] = {}
        """Number of connections by engine."""
        self._unused: list[Relay] = []

    def place_publisher(
        self, connection_id: str, source_id: str, running: Sequence[int], *, is_redundant: bool = False
    ) -> int | None:
        """Add a publisher. Returns the source's engine, or for a new source the least loaded of the `running` ones;
        None if none is running."""
        source = self._sources.get(source_id)
        if source is None:
            if not running:
                return None
            source = self._sources[source_id] = _PlacedSource(engine=self._least_loaded(running))
        source.publishers.append(connection_id)
        if is_redundant:
            source.redundant.add(connection_id)
        self._add(connection_id, source_id, source.engine)
        return source.engine

    def place_viewer(self, connection_id: str, source_id: str, running: Sequence[int]) -> int | None:
        """Add a viewer. Returns its engine: the source's, or one that the source is relayed to, or is to be relayed to
        from now on (`needs_relay`). None if there is no such source.

        The viewer counts before the engine has accepted it, so that a burst of publishers sees the load. A refused one
        is removed again by `remove`.
        """
        source = self._sources.get(source_id)
        if source is None:
            return None
        engine = self._least_loaded([source.engine, *source.relays])
        least = self._least_loaded(running) if running and source.established else engine
        if self._load(engine) - self._load(least) >= self._relay_margin:
            engine = least
        self._add_viewer(connection_id, source_id, source, engine)
        return engine

    def place_at_source(self, connection_id: str, source_id: str) -> int | None:
        """Add a viewer to the source's own engine, because a relay has failed. None if there is no such source."""
        source = self._sources.get(source_id)
        if source is None:
            return None
        self._add_viewer(connection_id, source_id, source, source.engine)
        return source.engine

    def own_engine(self, source_id: str) -> int | None:
        """The engine with the publishers of a source; None if there is no such source."""
        source = self._sources.get(source_id)
        return None if source is None else source.engine

    def establish(self, source_id: str) -> None:
        """The engine has accepted a publisher of the source. Unknown ids are ignored."""
        source = self._sources.get(source_id)
        if source is not None:
            source.established = True

    def connect(self, connection_id: str) -> None:
        """A connection is up. If it is a publisher's that is not redundant, the older publishers of its source are
        removed: the engine has closed them without a fact."""
        place = self._places.get(connection_id)
        source = None if place is None else self._sources.get(place.source_id)
        if source is not None and connection_id in source.publishers and connection_id not in source.redundant:
            for older in source.publishers[: source.publishers.index(connection_id)]:
                self.remove(older)

    def remove(self, connection_id: str) -> bool:
        """Remove a connection; False if it is unknown. A source that was never established is removed with its last
        connection, and a relay with its last viewer (`take_unused_relays`)."""
        place = self._places.pop(connection_id, None)
        if place is None:
            return False
        source = self._sources[place.source_id]
        self._loads[place.engine] -= 1
        if connection_id in source.publishers:
            source.publishers.remove(connection_id)
        source.redundant.discard(connection_id)
        source.viewers.discard(connection_id)
        if place.engine in source.relays:
            source.relays[place.engine] -= 1
            if source.relays[place.engine] == 0:
                del source.relays[place.engine]
                self._unused.append(Relay(*place))
        if not source.established and not source.publishers and not source.viewers:
            del self._sources[place.source_id]
        return True

    def take_unused_relays(self) -> list[Relay]:
        """Return the relays that no viewer needs any more, each once: their engines are to end the source."""
        unused, self._unused = self._unused, []
        return unused

    def has_source(self, source_id: str) -> bool:
        """Whether there is such a source."""
        return source_id in self._sources

    def end_source(self, source_id: str) -> list[int]:
        """Remove a source and all of its connections. Returns its own engine and those that it is relayed to; empty if
        there is no such source."""
        source = self._sources.pop(source_id, None)
        if source is None:
            return []
        for connection_id in (*source.publishers, *source.viewers):
            self._loads[self._places.pop(connection_id).engine] -= 1
        return [source.engine, *source.relays]

    def lose_engine(self, engine: int) -> dict[str, str]:
        """Remove all sources of an engine, and the viewers of sources that were relayed to it.

        Returns the lost connections with their source ids; of each source, the viewers come first. A lost source is
        lost for its viewers on other engines, too; those engines are to end it (`take_unused_relays`).
        """
        lost: dict[str, str] = {}
        for source_id, source in list(self._sources.items()):
            if source.engine == engine:
                lost |= dict.fromkeys((*sorted(source.viewers), *source.publishers), source_id)
                self._unused += [Relay(source_id, other) for other in source.relays]
                self.end_source(source_id)
            elif engine in source.relays:
                viewers = sorted(viewer for viewer in source.viewers if self._places[viewer].engine == engine)
                lost |= dict.fromkeys(viewers, source_id)
                for viewer in viewers:
                    self.remove(viewer)
        self._unused = [relay for relay in self._unused if relay.engine != engine]
        return lost

    def engine_of(self, connection_id: str) -> int | None:
        """The engine of a connection; None if it is unknown."""
        place = self._places.get(connection_id)
        return None if place is None else place.engine

    def _add_viewer(self, connection_id: str, source_id: str, source: _PlacedSource, engine: int) -> None:
        source.viewers.add(connection_id)
        if engine != source.engine:
            source.relays[engine] = source.relays.get(engine, 0) + 1
        self._add(connection_id, source_id, engine)

    def _add(self, connection_id: str, source_id: str, engine: int) -> None:
        self._places[connection_id] = _ConnectionPlace(source_id, engine)
        self._loads[engine] = self._load(engine) + 1

    def _load(self, engine: int) -> int:
        return self._loads.get(engine, 0)

    def _least_loaded(self, engines: Sequence[int]) -> int:
        # By number for equal loads, so that placement is the same in every run of a test.
        return min(engines, key=lambda number: (self._load(number), number))
