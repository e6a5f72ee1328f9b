"""The connection of one participant over an events websocket: what it is shown of its stage, and its token exchanges.

The stage manager calls `show`, `show_change` and `farewell` from outside; they only store a value and wake the writer
of the websocket (`websocket_transport.py`), so that a slow client never delays the manager.

A connection holds no data of its own that grows with the stage. What waits for the client are references to messages
that all connections of the stage share (`events_outbox.py`). Successive messages share their parts
(`stage_state_messages.py`).
"""

from collections.abc import Callable
from typing import Protocol

from stagebook.api.participants import stage_state_messages
from stagebook.api.participants.dialects import set_state_messages
from stagebook.api.participants.dialects.events_dialect import EventsDialect
from stagebook.api.participants.events_outbox import EventsOutbox
from stagebook.api.participants.stage_state_messages import StageStateMessage
from stagebook.api.participants.websocket_transport import ConnectionClose
from stagebook.manager.presence.watchers import FarewellReason, StageChange, StageSnapshot

FAREWELL_CLOSE_CODES: dict[FarewellReason, int] = {
    FarewellReason.DISCONNECTED: 4001,
    FarewellReason.STAGE_DELETED: 4002,
    FarewellReason.CONNECTION_TOKEN_REVOKED: 4003,
    FarewellReason.TOKEN_REUSED: 4004,
    FarewellReason.SHUTDOWN: 1001,
}
"""The close code for each reason of the stage manager. 1001 is "going away"."""


class ConnectionActions(Protocol):
    """What a connection lets its participant do in the stage manager."""

    async def answer_exchange(self, message: str) -> str:
        """Exchange the token of a message of the dialect's `exchange_type`; return the answer."""

    def set_state(self, message: str) -> None:
        """Act on a SET_STATE message."""

    def ask_for_state(self) -> None:
        """Ask the stage manager to call `show`."""


class EventsConnection:
    """One participant's connection. It implements the stage manager's StageWatcher, and WebsocketChannel.

    `wake` lets the websocket take what waits, and `end` ends the connection. `actions` must be set before the websocket
    is served. `takes_changes`: the client has announced that it understands changes; `publishers_only`: it asked for
    those who publish.
    """

    __slots__ = (
        "_dialect",
        "_end",
        "_is_pong_pending",
        "_outbox",
        "_pending_answers",
        "_wake",
        "actions",
        "publishers_only",
        "takes_changes",
    )

    actions: ConnectionActions

    def __init__(
        self,
        *,
        dialect: EventsDialect,
        encoder: stage_state_messages.StageStateEncoder,
        wake: Callable[[], None],
        end: Callable[[ConnectionClose], None],
        takes_changes: bool = False,
        publishers_only: bool = False,
    ) -> None:
        self.takes_changes = takes_changes
        self.publishers_only = publishers_only
        self._dialect = dialect
        self._outbox = EventsOutbox(encoder)
        self._wake = wake
        self._end = end
        self._is_pong_pending = False
        self._pending_answers: tuple[str, ...] = ()

    def show(self, snapshot: StageSnapshot) -> None:
        """Send a snapshot of the stage. It replaces what has not been sent yet."""
        self._outbox.show(snapshot)
        self._wake()

    def show_change(self, change: StageChange) -> None:
        """Send a change of the stage."""
        self._outbox.show_change(change)
        self._wake()

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """End the connection for a reason of the stage manager."""
        self._end(
            ConnectionClose(
                cause=None,
                close_code=FAREWELL_CLOSE_CODES[reason],
                close_reason=detail or reason.value,
                last_message=self._dialect.farewell(reason, detail),
            )
        )

    def take_texts(self) -> list[str]:
        """Return the small messages that wait, and remove them."""
        texts = [stage_state_messages.PONG] if self._is_pong_pending else []
        texts += self._pending_answers
        self._is_pong_pending = False
        self._pending_answers = ()
        return texts

    def take_state(self) -> StageStateMessage | None:
        """Return the next state or change that waits, and remove it; None if none does."""
        return self._outbox.take()

    def on_drained(self) -> None:
        """Ask for a state if changes were dropped, now that the client has read what it was being sent."""
        if self._outbox.is_behind:
            self.actions.ask_for_state()

    async def receive(self, text: str) -> None:
        """Act on a message of the client. Messages of other types are ignored."""
        match stage_state_messages.message_type(text):
            case "PING":
                self._is_pong_pending = True
            case self._dialect.exchange_type:
                answer = await self.actions.answer_exchange(text)
                self._pending_answers = (*self._pending_answers, answer)
            case set_state_messages.SET_STATE:
                self.actions.set_state(text)
                return
            case _:
                return
        self._wake()
