"""The port of the rooms of a LiveKit server whose history the book keeps: what the manager asks about them."""

from typing import Protocol

from stagebook.manager.session.session_registry import LiveSession, LiveTotals


class ObservedRooms(Protocol):
    """The rooms that are open, as sessions of the stages that show them."""

    def live_session(self, stage_arn: str) -> LiveSession | None:
        """Return what is live in the room of a stage; None if the room is not open."""

    def totals(self) -> LiveTotals:
        """Return the totals over all rooms."""

    async def disconnect(self, stage_arn: str, participant_id: str) -> None:
        """Remove a participant from its room. One that is not there is none. Raises ServerBusyError."""
