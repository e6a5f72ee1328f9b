"""Which engine has which source and connection. The pool's bookkeeping: no I/O.

A source is placed on one engine, with all of its publishers and viewers, because an engine forwards only its own
sources. The first publisher of a source decides: it goes to the running engine with the fewest connections. The number
of connections is the best estimate of the load to come: a viewer costs about the same on every engine, and a measured
CPU time would say nothing about sources that have just been placed.

The bookkeeping follows the forwarder's rules. A source stays until it is ended once a publisher has been accepted. A
publisher that connects replaces the older ones of its source (`sfu.forwarder`).
"""

from collections.abc import Sequence

import msgspec


class _PlacedSource(msgspec.Struct, kw_only=True):
    engine: int
    established: bool = False
    """Whether the engine has accepted a publisher. The engine then keeps the source until it is ended."""
    publishers: list[str] = []
    """Connection ids, oldest first. There are several while a newer publisher is connecting, and with redundancy."""
    redundant: set[str] = set()
    """The publishers that do not replace others."""
    viewers: set[str] = set()


class SourcePlacement:
    """Sources and connections by engine number."""

    def __init__(self) -> None:
        self._sources: dict[str, _PlacedSource] = {}
        self._source_of: dict[str, str] = {}
        """Source ids by connection id."""
        self._loads: dict[int, int] = {}
        """Number of connections by engine."""

    def place_publisher(
        self, connection_id: str, source_id: str, running: Sequence[int], *, is_redundant: bool = False
    ) -> int | None:
        """Add a publisher. Returns the source's engine, or for a new source the least loaded of the `running` ones;
        None if none is running."""
        source = self._sources.get(source_id)
        if source is None:
            if not running:
                return None
            # By number for equal loads, so that placement is the same in every run of a test.
            engine = min(running, key=lambda number: (self._loads.get(number, 0), number))
            source = self._sources[source_id] = _PlacedSource(engine=engine)
        source.publishers.append(connection_id)
        if is_redundant:
            source.redundant.add(connection_id)
        self._add(connection_id, source_id, source.engine)
        return source.engine

    def place_viewer(self, connection_id: str, source_id: str) -> int | None:
        """Add a viewer. Returns the source's engine; None if there is no such source.

        The viewer counts before the engine has accepted it, so that a burst of publishers sees the load. A refused one
        is removed again by `remove`.
        """
        source = self._sources.get(source_id)
        if source is None:
            return None
        source.viewers.add(connection_id)
        self._add(connection_id, source_id, source.engine)
        return source.engine

    def establish(self, source_id: str) -> None:
        """The engine has accepted a publisher of the source. Unknown ids are ignored."""
        source = self._sources.get(source_id)
        if source is not None:
            source.established = True

    def connect(self, connection_id: str) -> None:
        """A connection is up. If it is a publisher's that is not redundant, the older publishers of its source are
        removed: the engine has closed them without a fact."""
        source = self._sources.get(self._source_of.get(connection_id, ""))
        if source is not None and connection_id in source.publishers and connection_id not in source.redundant:
            for older in source.publishers[: source.publishers.index(connection_id)]:
                self.remove(older)

    def remove(self, connection_id: str) -> bool:
        """Remove a connection; False if it is unknown. A source that was never established is removed with its last
        connection."""
        source_id = self._source_of.pop(connection_id, None)
        if source_id is None:
            return False
        source = self._sources[source_id]
        self._loads[source.engine] -= 1
        if connection_id in source.publishers:
            source.publishers.remove(connection_id)
        source.redundant.discard(connection_id)
        source.viewers.discard(connection_id)
        if not source.established and not source.publishers and not source.viewers:
            del self._sources[source_id]
        return True

    def has_source(self, source_id: str) -> bool:
        """Whether there is such a source."""
        return source_id in self._sources

    def end_source(self, source_id: str) -> int | None:
        """Remove a source and all of its connections. Returns its engine; None if there is no such source."""
        source = self._sources.pop(source_id, None)
        if source is None:
            return None
        for connection_id in (*source.publishers, *source.viewers):
            del self._source_of[connection_id]
            self._loads[source.engine] -= 1
        return source.engine

    def lose_engine(self, engine: int) -> dict[str, str]:
        """Remove all sources of an engine. Returns the lost connections with their source ids; of each source, the
        viewers come first."""
        lost: dict[str, str] = {}
        for source_id in [name for name, source in self._sources.items() if source.engine == engine]:
            source = self._sources[source_id]
            lost |= dict.fromkeys((*sorted(source.viewers), *source.publishers), source_id)
            self.end_source(source_id)
        return lost

    def engine_of(self, connection_id: str) -> int | None:
        """The engine of a connection; None if it is unknown."""
        source_id = self._source_of.get(connection_id)
        return None if source_id is None else self._sources[source_id].engine

    def _add(self, connection_id: str, source_id: str, engine: int) -> None:
        self._source_of[connection_id] = source_id
        self._loads[engine] = self._loads.get(engine, 0) + 1
