"""The port to a participant's events websocket: the snapshots that it is sent, and how it is closed."""

from typing import Protocol

import msgspec

from stagebook.stage.session.orders import FarewellReason

__all__ = ["FarewellReason", "PresentParticipant", "StageSnapshot", "StageWatcher"]


class PresentParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """One participant on a stage, as its watchers see it."""

    participant_id: str
    user_id: str
    attributes: dict[str, str]
    is_publishing: bool


class StageSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The participants on a stage at one moment, in order of arrival.

    All watchers get the same instance, so that it can be encoded once and compared by identity. `size_bytes` is the
    size of the participants as JSON, within a few bytes for each: the publisher paces itself by it.
    """

    stage_id: str
    participants: tuple[PresentParticipant, ...]
    size_bytes: int = 0


class StageWatcher(Protocol):
    """A participant's events websocket. Both calls come on the event loop's thread and must not block."""

    def show(self, snapshot: StageSnapshot) -> None:
        """Send the newest snapshot. An older one that has not been sent yet is dropped.

        An implementation must not keep a copy of the snapshot for itself: there can be thousands of watchers.
        """

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Close the connection for this reason. Its end is in the book already."""
