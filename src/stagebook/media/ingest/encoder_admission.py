"""The server's decision about one encoder: asked for when the stream key is known, and made once.

The ingest process does not know stream keys. It reports IngestAsked and waits; the server answers with `admit`,
`refuse` or `relay`, usually within milliseconds. The encoder may leave while it waits, and the server may be late.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from stagebook.media.ingest.encoder_relay import RelayTarget
from stagebook.media.ingest.stream_end import StreamEnd, StreamEndedError
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import CloseCause, IngestAsked, MediaRefusedError, RefusalReason

DECISION_TIMEOUT_SECONDS: Final = 30.0
"""How long the server may take to admit or refuse."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """The encoder may publish to the feed of `ticket`, as `connection_id`."""

    connection_id: str
    ticket: FeedTicket


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The encoder may not publish. It receives `detail`."""

    detail: str


Decision: TypeAlias = Admission | Refusal | RelayTarget
"""With a RelayTarget, another node decides about the encoder, and serves it."""


class EncoderAdmission:
    """The decision about one encoder, which is open between `ask` and the first answer."""

    def __init__(self) -> None:
        self._decision: asyncio.Future[Decision] | None = None
        """None before `ask`."""

    async def ask(self, asked: IngestAsked, on_fact: Callable[[IngestAsked], None]) -> Decision:
        """Report that the encoder asks, and wait for the decision. Raises StreamEndedError if none comes in time."""
        self._decision = asyncio.get_running_loop().create_future()
        on_fact(asked)
        try:
            async with asyncio.timeout(DECISION_TIMEOUT_SECONDS):
                return await self._decision
        except TimeoutError:
            # The end has a cause, so that an encoder that is admitted just before the timeout produces a Closed fact.
            detail = "the server did not decide in time; try again"
            raise StreamEndedError(StreamEnd(detail=detail, cause=CloseCause.ENGINE_LOST)) from None

    def admit(self, connection_id: str, ticket: FeedTicket) -> None:
        """Let the encoder publish. Raises MediaRefusedError (UNKNOWN_CONNECTION) if the decision is not open."""
        if self._decision is None or self._decision.done():
            raise MediaRefusedError(
                reason=RefusalReason.UNKNOWN_CONNECTION, detail="the encoder no longer waits for the decision"
            )
        self._decision.set_result(Admission(connection_id=connection_id, ticket=ticket))

    def refuse(self, detail: str) -> None:
        """Refuse the encoder. No effect if the decision is not open."""
        self._decide(Refusal(detail=detail))

    def relay(self, target: RelayTarget) -> None:
        """Send the encoder on to another node. No effect if the decision is not open."""
        self._decide(target)

    def _decide(self, decision: Decision) -> None:
        if self._decision is not None and not self._decision.done():
            self._decision.set_result(decision)
