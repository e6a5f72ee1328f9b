"""The port to a participant's events websocket: the lists and changes that it is sent, and how it is closed."""

from typing import Protocol

import msgspec

from stagebook.stage.session.orders import FarewellReason

__all__ = ["FarewellReason", "PresentParticipant", "StageChange", "StageSnapshot", "StageWatcher"]


class PresentParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """One participant on a stage, as its watchers see it."""

    participant_id: str
    user_id: str
    attributes: dict[str, str]
    is_publishing: bool
    audio_muted: bool = False
    video_stopped: bool = False


class StageSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The participants on a stage at one moment, in the order in which they appeared: all, or those that publish.

    `sequence_number` grows with each change of the list. All its watchers get the same instance, so that it can be
    encoded once and compared by identity. `size_bytes` is the size of the participants as JSON, within a few bytes for
    each: the publisher paces itself by it.
    """

    stage_id: str
    participants: tuple[PresentParticipant, ...]
    sequence_number: int
    size_bytes: int = 0


class StageChange(msgspec.Struct, frozen=True, kw_only=True):
    """The difference between two lists of a stage: what leads to the one with `sequence_number`.

    It applies to every list from `base_sequence_number` on, and changes nothing in one that has its `sequence_number`
    already: remove `left`, replace `updated` at their places, remove `joined` where they are on the list and append
    them in this order. A participant is in one of the three at most.
    """

    stage_id: str
    base_sequence_number: int
    sequence_number: int
    joined: tuple[PresentParticipant, ...] = ()
    updated: tuple[PresentParticipant, ...] = ()
    left: tuple[str, ...] = ()
    size_bytes: int = 0


class StageWatcher(Protocol):
    """A participant's events websocket. All calls come on the event loop's thread and must not block.

    An implementation must not keep a copy of a snapshot or change for itself: there can be thousands of watchers.
    """

    @property
    def takes_changes(self) -> bool:
        """Whether the watcher is sent a snapshot first and then changes, instead of snapshots only."""

    @property
    def publishers_only(self) -> bool:
        """Whether the watcher is shown only the participants that publish."""

    def show(self, snapshot: StageSnapshot) -> None:
        """Send the newest snapshot. An older one that has not been sent yet, and changes before it, are dropped."""

    def show_change(self, change: StageChange) -> None:
        """Send a change, after what was shown before. A watcher that cannot may drop it and ask for a snapshot."""

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Close the connection for this reason. Its end is in the book already."""
