"""The port of the rooms of an external LiveKit server: what the manager reads of them, and asks them to do."""

from typing import Protocol

from stagebook.manager.session.session_registry import LiveSession, LiveTotals


class ObservedRooms(Protocol):
    """The open rooms, as sessions of the stages that show them."""

    def live_session(self, stage_arn: str) -> LiveSession | None:
        """Return the open session of a stage; None without one."""

    def totals(self) -> LiveTotals:
        """Return the totals over all rooms."""

    async def disconnect(self, stage_arn: str, participant_id: str) -> None:
        """Remove a participant from its room. Does nothing if it has left. Raises ServerBusyError."""
