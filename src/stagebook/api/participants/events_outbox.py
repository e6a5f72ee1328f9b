"""The states and changes of its stage that one client has not been sent yet.

    list client:     the newest state
    change client:   a state, then the changes after it

A state replaces what waits before it. Of changes each one counts, so they wait in order; they are shared by all sockets
of the stage, and only references to them are kept. A client that reads more slowly than the stage changes gets a new
state instead: above a number and a size of waiting changes, everything that waits is dropped, and further changes too,
until the stage manager shows a state again. The owner asks for it when the client has read what was being sent.
"""

from stagebook.api.participants.stage_state_messages import StageStateEncoder, StageStateMessage
from stagebook.manager.presence.watchers import StageChange, StageSnapshot

CHANGES_LIMIT = 64
CHANGES_SIZE_BYTES = 262_144
"""The changes that may wait for one client. All sockets of a stage share them, so this is a limit for the stage."""


class EventsOutbox:
    """What waits for one client. `is_behind`: changes were dropped, so that the client needs a state."""

    __slots__ = (
        "_changes",
        "_changes_limit",
        "_changes_size_bytes",
        "_encoder",
        "_sequence_number",
        "_state",
        "is_behind",
    )

    def __init__(self, encoder: StageStateEncoder, *, changes_limit: int = CHANGES_LIMIT) -> None:
        self._encoder = encoder
        self._changes_limit = changes_limit
        self._state: StageStateMessage | None = None
        self._changes: tuple[StageStateMessage, ...] = ()
        self._changes_size_bytes = 0
        self._sequence_number = 0
        self.is_behind = False

    def show(self, snapshot: StageSnapshot) -> None:
        """Let a state wait, instead of everything before it. A state that was shown before is not shown again."""
        if snapshot.sequence_number == self._sequence_number and not self.is_behind:
            return
        self._drop()
        self._state = self._encoder.encode(snapshot)
        self._sequence_number = snapshot.sequence_number
        self.is_behind = False

    def show_change(self, change: StageChange) -> None:
        """Let a change wait, or drop everything if too much waits."""
        if self.is_behind:
            return
        message = self._encoder.encode_change(change)
        size_bytes = self._changes_size_bytes + message.size_bytes
        if len(self._changes) >= self._changes_limit or (self._changes and size_bytes > CHANGES_SIZE_BYTES):
            self._drop()
            self.is_behind = True
        else:
            self._sequence_number = change.sequence_number
            self._changes = (*self._changes, message)
            self._changes_size_bytes = size_bytes

    def take(self) -> StageStateMessage | None:
        """Return the next message and remove it; None if nothing waits."""
        if self._state is not None:
            state, self._state = self._state, None
            return state
        if not self._changes:
            return None
        change, self._changes = self._changes[0], self._changes[1:]
        self._changes_size_bytes -= change.size_bytes
        return change

    def _drop(self) -> None:
        self._state = None
        self._changes = ()
        self._changes_size_bytes = 0
