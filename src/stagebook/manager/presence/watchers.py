"""Who wants to hear about a stage as it changes: the events websockets of its participants."""

from enum import StrEnum
from typing import Protocol

import msgspec


class PresentParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """One connected participant, as the others on its stage see it."""

    participant_id: str
    user_id: str
    attributes: dict[str, str]
    is_publishing: bool


class StageSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody on a stage at one moment. One instance is handed to all watchers, so a door can encode it once."""

    stage_id: str
    participants: tuple[PresentParticipant, ...]


class FarewellReason(StrEnum):
    """Why the server ends a watcher's connection."""

    DISCONNECTED = "PARTICIPANT_DISCONNECTED"
    STAGE_DELETED = "STAGE_DELETED"
    SHUTDOWN = "SERVER_SHUTDOWN"
    CONNECTION_TOKEN_REVOKED = "CONNECTION_TOKEN_REVOKED"  # noqa: S105 - a reason's name, not a secret


class StageWatcher(Protocol):
    """A participant's events connection. Both calls come on the event loop's thread and must not block."""

    def show(self, snapshot: StageSnapshot) -> None:
        """Send the newest snapshot; an older one not sent yet may be dropped."""

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Close the connection and say why; the manager has already recorded it as gone."""
