"""What became of an attempt to deliver an event."""

from typing import TypeAlias

import msgspec

MAXIMUM_REASON_LENGTH = 500


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver has accepted it. `status` is the HTTP status, if there is one."""

    status: int | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver has not accepted it. `reason` is for people.

    `retry_after_ms` is how long the receiver asks not to be called. `is_gone` means that it wants no more events.
    """

    reason: str
    status: int | None = None
    retry_after_ms: int | None = None
    is_gone: bool = False


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Retention has deleted the event, so it cannot be delivered."""


Outcome: TypeAlias = Delivered | Failed | Missing
