"""Time and randomness as ports. The domain, the manager and the book receive them and never create them.

There are two clocks. The *wall clock* is the time of day, for event times and token expiry. An administrator or NTP can
set it, so it can jump forward and back. The *monotonic clock* only measures how long something takes: each timeout and
duration uses it, so a jump of the wall clock never ends a stream or a session.
"""

from typing import Protocol

import msgspec


class Clock(Protocol):
    """The machine's two clocks."""

    def now_ms(self) -> int:
        """Return the wall clock: milliseconds since the Unix epoch, UTC."""

    def monotonic_ms(self) -> int:
        """Return the monotonic clock: milliseconds since an arbitrary moment. Never steps, never goes back."""


class Randomness(Protocol):
    """A source of unguessable bytes; seeded in tests."""

    def token_bytes(self, size_bytes: int) -> bytes:
        """Return `size_bytes` random bytes."""


class Instant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One moment on both clocks, in milliseconds. `wall_ms` is the event clock, which never goes back."""

    wall_ms: int
    monotonic_ms: int
