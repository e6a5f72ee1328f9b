"""Which engine holds which source and connection. Bookkeeping only: it speaks to no engine."""

from collections.abc import Sequence

import msgspec


class _Source(msgspec.Struct, kw_only=True):
    engine: int
    established: bool = False
    """Whether a publisher was ever taken: the engine then keeps the source until it is ended."""
    publishers: list[str] = []
    """Connection ids, oldest first: while a newer one connects there are two."""
    redundant: set[str] = set()
    """Those of them that publish side by side: none replaces another."""
    viewers: set[str] = set()


class Placement:
    """Engines are numbers. A source is pinned to the engine that its first publisher was given."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}
        self._source_of: dict[str, str] = {}
        self._loads: dict[int, int] = {}

    def place_publisher(
        self, connection_id: str, source_id: str, running: Sequence[int], *, is_redundant: bool = False
    ) -> int | None:
        """The source's engine, or for a new source the least loaded of the running ones; None if none runs."""
        source = self._sources.get(source_id)
        if source is None:
            if not running:
                return None
            engine = min(running, key=lambda number: (self._loads.get(number, 0), number))
            source = self._sources[source_id] = _Source(engine=engine)
        source.publishers.append(connection_id)
        if is_redundant:
            source.redundant.add(connection_id)
        self._add(connection_id, source_id, source.engine)
        return source.engine

    def place_viewer(self, connection_id: str, source_id: str) -> int | None:
        """The source's engine; None if there is no such source."""
        source = self._sources.get(source_id)
        if source is None:
            return None
        source.viewers.add(connection_id)
        self._add(connection_id, source_id, source.engine)
        return source.engine

    def establish(self, source_id: str) -> None:
        """A publisher of the source was taken."""
        source = self._sources.get(source_id)
        if source is not None:
            source.established = True

    def connect(self, connection_id: str) -> None:
        """A connection is up. A publisher's replaces the older ones of its source, of which nothing more is told; a
        redundant one replaces none."""
        source = self._sources.get(self._source_of.get(connection_id, ""))
        if source is not None and connection_id in source.publishers and connection_id not in source.redundant:
            for older in source.publishers[: source.publishers.index(connection_id)]:
                self.remove(older)

    def remove(self, connection_id: str) -> bool:
        """Forget a connection; False if it was unknown. A source that was never established goes with its last."""
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

    def end_source(self, source_id: str) -> int | None:
        """Forget a source and all of its connections; its engine, or None if it was unknown."""
        source = self._sources.pop(source_id, None)
        if source is None:
            return None
        for connection_id in (*source.publishers, *source.viewers):
            del self._source_of[connection_id]
            self._loads[source.engine] -= 1
        return source.engine

    def lose_engine(self, engine: int) -> list[str]:
        """Forget all sources of an engine; the ids of the connections that went with them, viewers first."""
        lost: list[str] = []
        for source_id in [name for name, source in self._sources.items() if source.engine == engine]:
            source = self._sources[source_id]
            lost += [*sorted(source.viewers), *source.publishers]
            self.end_source(source_id)
        return lost

    def engine_of(self, connection_id: str) -> int | None:
        """The engine that holds a connection."""
        source_id = self._source_of.get(connection_id)
        return None if source_id is None else self._sources[source_id].engine

    def _add(self, connection_id: str, source_id: str, engine: int) -> None:
        self._source_of[connection_id] = source_id
        self._loads[engine] = self._loads.get(engine, 0) + 1
