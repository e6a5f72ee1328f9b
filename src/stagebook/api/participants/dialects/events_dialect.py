"""What differs between the dialects of the events websocket, as the interface that a connection uses.

Both dialects have the same STAGE_STATE, PING, PONG and SET_STATE messages and the same close codes. A dialect has no
state: all connections share one.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.claims import Claims

ExchangeCall: TypeAlias = Callable[[str], Awaitable[Claims]]
"""Exchanges the participant's token for this one, and returns the claims of the new token. It raises
RequestRefusedError, and the errors of the stage manager's `exchange_token`."""


class EventsDialect(Protocol):
    """The messages of one dialect, as JSON text."""

    @property
    def exchange_type(self) -> str:
        """The `type` of the client's message that exchanges its token."""

    async def answer_exchange(self, message: str, exchange: ExchangeCall) -> str:
        """Exchange the token of a message of the type `exchange_type`; return the answer, also to one that is refused.

        Errors that the client did not cause are raised.
        """

    def farewell(self, reason: FarewellReason, detail: str) -> str | None:
        """Return the message that is sent before the close frame; None if there is none."""
