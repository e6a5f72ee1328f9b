"""What waits to be sent to one reader of the live tail.

The parts that wait are shared: all readers with the same filter hold references to the same bytes. A reader that does
not take them in time ends, because what waits is bounded, for each reader and for all together. It loses nothing: it
connects again with its position and gets the rest from the book.
"""

from collections.abc import Callable, Iterable, Iterator

from stagebook.api.light_event import LightEvent
from stagebook.api.watch.live_tail.event_stream_format import DisconnectCode
from stagebook.history.event_query import EventFilter

PART_SIZE_BYTES = 16_384
"""How much is given to the socket at once."""
QUEUE_EVENTS = 2_000
QUEUE_SIZE_BYTES = 1_048_576
"""What may wait for one reader."""
SHARE_BYTES = 16_384
"""What may wait for one reader when the budget is spent."""
BUDGET_BYTES = 64 * 1_024 * 1_024
"""What may wait for all readers together; parts that several of them share count once."""


class StreamPart:
    """Some messages in order, at most PART_SIZE_BYTES or one message. `last_sequence` is the position after them."""

    __slots__ = ("data", "events", "holders", "last_sequence")

    def __init__(self, data: bytes, *, events: int, last_sequence: int) -> None:
        self.data = data
        self.events = events
        self.last_sequence = last_sequence
        self.holders = 0
        """How many readers it waits for."""


class QueueBudget:
    """How many bytes wait for all readers together."""

    __slots__ = ("limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def hold(self, part: StreamPart) -> None:
        """Count a part that waits for one more reader."""
        if part.holders == 0:
            self.used_bytes += len(part.data)
        part.holders += 1

    def release(self, part: StreamPart) -> None:
        """Count a part that waits for one reader less."""
        part.holders -= 1
        if part.holders == 0:
            self.used_bytes -= len(part.data)


class LiveReader:
    """One reader. `LiveEvents` puts parts in, the response takes them out."""

    __slots__ = (
        "_budget",
        "_check_access",
        "_parts",
        "_queued_bytes",
        "_queued_events",
        "_ready",
        "end",
        "is_live",
        "position",
        "sent_position",
        "where",
    )

    def __init__(self, where: EventFilter, *, check_access: Callable[[], None], budget: QueueBudget) -> None:
        """`check_access` raises ApiRefusedError when the reader may not read any more."""
        self.where = where
        self._check_access = check_access
        self._budget = budget
        self._parts: list[StreamPart] = []
        self._queued_events = self._queued_bytes = 0
        self._ready = LightEvent()
        self.is_live = False
        """Whether parts are put in as events become durable. Before, the reader reads the past."""
        self.position = 0
        """The sequence number up to which everything was put in."""
        self.sent_position = 0
        """The sequence number up to which everything was taken out."""
        self.end: DisconnectCode | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it is live and nothing waits for it."""
        return self.is_live and not self._parts

    def check_access(self) -> None:
        """Raise ApiRefusedError if the reader may not read any more."""
        self._check_access()

    def put(self, part: StreamPart) -> None:
        """Let a part wait. Ends the reader if too much waits."""
        if self.end is not None:
            return
        self._queued_events += part.events
        self._queued_bytes += len(part.data)
        self._parts.append(part)
        self._budget.hold(part)
        self.position = max(self.position, part.last_sequence)
        if self._is_too_slow():
            self.finish(DisconnectCode.TOO_SLOW, drop=True)
        else:
            self._ready.set()

    def finish(self, end: DisconnectCode, *, drop: bool = False) -> None:
        """End the reader after what waits for it, or at once."""
        if self.end is None:
            self.end = end
        self.is_live = False
        if drop:
            self._drop()
        self._ready.set()

    def close(self) -> None:
        """Forget what waits: the response has ended."""
        self.finish(DisconnectCode.STOPPING, drop=True)

    async def wait(self) -> None:
        """Wait until `take` returns something or `end` is set."""
        await self._ready.wait()

    def take(self) -> bytes:
        """Return what waits, at most PART_SIZE_BYTES or one part; nothing if nothing waits."""
        if not self._parts:
            if self.end is None:
                self._ready.clear()
            return b""
        taken = _first_parts(self._parts)
        del self._parts[: len(taken)]
        for part in taken:
            self._budget.release(part)
            self._queued_events -= part.events
            self._queued_bytes -= len(part.data)
        self.sent_position = max(self.sent_position, taken[-1].last_sequence)
        return taken[0].data if len(taken) == 1 else b"".join(part.data for part in taken)

    def _is_too_slow(self) -> bool:
        return (
            self._queued_events > QUEUE_EVENTS
            or self._queued_bytes > QUEUE_SIZE_BYTES
            or (self._budget.used_bytes > self._budget.limit_bytes and self._queued_bytes > SHARE_BYTES)
        )

    def _drop(self) -> None:
        for part in self._parts:
            self._budget.release(part)
        self._parts = []
        self._queued_events = self._queued_bytes = 0


def stream_parts(messages: Iterable[tuple[int, bytes]]) -> Iterator[StreamPart]:
    """Yield the messages of events, given with their sequence numbers, as parts."""
    gathered: list[bytes] = []
    size_bytes = last_sequence = 0
    for sequence, message in messages:
        if gathered and size_bytes + len(message) > PART_SIZE_BYTES:
            yield StreamPart(b"".join(gathered), events=len(gathered), last_sequence=last_sequence)
            gathered, size_bytes = [], 0
        gathered.append(message)
        size_bytes += len(message)
        last_sequence = sequence
    if gathered:
        yield StreamPart(b"".join(gathered), events=len(gathered), last_sequence=last_sequence)


def _first_parts(parts: list[StreamPart]) -> list[StreamPart]:
    taken = [parts[0]]
    size_bytes = len(parts[0].data)
    for part in parts[1:]:
        size_bytes += len(part.data)
        if size_bytes > PART_SIZE_BYTES:
            break
        taken.append(part)
    return taken
