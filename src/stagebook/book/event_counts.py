"""How many events were submitted to a book since it was opened, by name and error code.

The counters are lists of integers, indexed by the codes under which a store keeps names and errors: counting is a part
of the hottest path of a server.
"""

from collections.abc import Iterator

from stagebook.stage.events import ErrorCode, EventName

_NAMES = tuple(EventName)
_ERRORS = tuple(ErrorCode)


class EventCounts:
    """The counters. A code is the index of a member in its enum."""

    __slots__ = ("by_name", "with_error")

    def __init__(self) -> None:
        self.by_name = [0] * len(_NAMES)
        """The events without an error code, by the code of their name."""
        self.with_error: dict[tuple[int, int], int] = {}
        """Those with an error code, by both codes."""

    def add(self, name: int, error_code: int | None, *, count: int = 1) -> None:
        """Add events of a name and an error code; a negative `count` takes events back."""
        if error_code is None:
            self.by_name[name] += count
        else:
            key = (name, error_code)
            self.with_error[key] = self.with_error.get(key, 0) + count

    def __iter__(self) -> Iterator[tuple[EventName, ErrorCode | None, int]]:
        """Yield every name without an error, also with the count 0, and each name with an error that occurred."""
        for name, count in zip(_NAMES, self.by_name, strict=True):
            yield name, None, count
        for (name_code, error_code), count in sorted(self.with_error.items()):
            yield _NAMES[name_code], _ERRORS[error_code], count
