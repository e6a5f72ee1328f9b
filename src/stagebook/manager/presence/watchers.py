"""The port to a participant's events websocket: what it is shown, and how it is closed."""

from typing import Protocol

import msgspec

from stagebook.stage.session.orders import FarewellReason

__all__ = ["FarewellReason", "PresentParticipant", "StageSnapshot", "StageWatcher"]


class PresentParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """One participant on a stage, as the others see it."""

    participant_id: str
    user_id: str
    attributes: dict[str, str]
    is_publishing: bool


class StageSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody on a stage at one moment. All watchers get the same instance, so it can be encoded once."""

    stage_id: str
    participants: tuple[PresentParticipant, ...]


class StageWatcher(Protocol):
    """A participant's events websocket. Both calls come on the event loop's thread and must not block."""

    def show(self, snapshot: StageSnapshot) -> None:
        """Send the newest snapshot. An older one that has not been sent yet may be dropped."""

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Close the connection and say why. Its end is in the book already."""
