"""What differs between the dialects of the events websocket, as the interface that a connection uses.

Both dialects have the same STAGE_STATE, PING and PONG messages (`stage_state_messages.py`) and the same close codes. A
dialect has no state: all connections share one.
"""

from typing import Protocol

from stagebook.manager.presence.watchers import FarewellReason


class EventsDialect(Protocol):
    """The messages of one dialect, as JSON text."""

    def farewell(self, reason: FarewellReason, detail: str) -> str | None:
        """Return the message that is sent before the close frame; None if there is none."""
