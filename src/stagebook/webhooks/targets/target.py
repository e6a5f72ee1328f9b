"""What the delivery process needs of a receiver."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from stagebook.webhooks.delivery_outcome import Outcome


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the form in which it is delivered. `time_s` is the time of this attempt, in seconds."""

    event_id: str
    session_id: str
    body: bytes
    content_type: str
    time_s: int


class Target(Protocol):
    """A receiver. `batch_size` is the maximum number of messages, each of another session, of one call."""

    batch_size: int

    async def deliver(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        """Deliver messages, and return the outcome of each. Raises nothing: an error is an outcome."""

    async def close(self) -> None:
        """Close its connections."""
