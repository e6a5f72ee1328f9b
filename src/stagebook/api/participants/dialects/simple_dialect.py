"""The simple dialect of the events websocket: `{events}/{topic}`.

It is what public sample clients of IVS stages speak, with additions that are described in docs/participants.md. The
reason of a close is in the close frame alone. The messages of a token exchange are in `token_exchange_messages.py`.
"""

from stagebook.api.participants.dialects.events_dialect import ExchangeCall
from stagebook.api.participants.dialects.token_exchange_messages import (
    EXCHANGE_TOKEN,
    exchange_answer,
)
from stagebook.manager.presence.watchers import FarewellReason


class SimpleDialect:
    """Implements EventsDialect."""

    exchange_type = EXCHANGE_TOKEN

    async def answer_exchange(self, message: str, exchange: ExchangeCall) -> str:
        """Return TOKEN_EXCHANGED or EXCHANGE_TOKEN_ERROR."""
        return await exchange_answer(message, exchange)

    def farewell(self, _reason: FarewellReason, _detail: str) -> str | None:
        """Return None: the close code and its reason say everything."""
        return None
