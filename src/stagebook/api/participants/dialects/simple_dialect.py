"""The simple dialect of the events websocket: `{events}/{topic}`.

It is what public sample clients of IVS stages speak, with additions that are described in docs/participants.md. The
reason of a close is in the close frame alone.
"""

from stagebook.manager.presence.watchers import FarewellReason


class SimpleDialect:
    """Implements EventsDialect."""

    def farewell(self, _reason: FarewellReason, _detail: str) -> str | None:
        """Return None: the close code and its reason say everything."""
        return None
