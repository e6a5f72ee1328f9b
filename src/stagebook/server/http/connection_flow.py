"""The flow of an HTTP connection's input: when it is read, and how much of it is held.

uvicorn's request (`RequestResponseCycle`) resumes reading by itself, when it is answered and when the application has
taken a part of its body. `InputFlow` makes that wait for the input that is already here. It refers to its connection
weakly, so that a connection is freed when its transport and its requests have ended.
"""

import asyncio
import weakref
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

INPUT_BUDGET_BYTES = 64 * 1_024 * 1_024
INPUT_SHARE_BYTES = 2_048
"""Bytes that a connection may hold back when the budget is spent. With this share, an ordinary head still arrives."""


class FlowOwner(Protocol):
    """What this module needs of a connection."""

    @property
    def holds_input(self) -> bool:
        """Whether received bytes wait to be decoded."""

    @property
    def is_lingering(self) -> bool:
        """Whether the last response was sent, and input is read only to be discarded."""

    def schedule_decoding(self) -> None:
        """Decode more of the held input in the next turn of the event loop."""

    def close_gracefully(self) -> None:
        """Close the connection after what was written."""

    def give_up_input(self) -> None:
        """Refuse the request whose head is incomplete, and drop the held input."""


class InputBudget:
    """The number of bytes that all connections of a server may hold back, and that they do.

    When it is spent, the connection that has waited longest for the rest of a large head gives up its input. An honest
    client sends a head within moments, so these are connections that were opened to spend the budget.
    """

    def __init__(self, limit_bytes: int = INPUT_BUDGET_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.incomplete: dict[HeldInput, None] = {}
        """The connections that hold an incomplete head above their share, in the order in which they began to."""

    def make_room(self, asking: "HeldInput") -> bool:
        """Let connections give up their input until the budget is kept; return False if `asking` is the next one."""
        while self.used_bytes > self.limit_bytes:
            oldest = next(iter(self.incomplete), asking)
            if oldest is asking:
                return False
            del self.incomplete[oldest]
            oldest.give_up()
        return True


class HeldInput:
    """The bytes that one connection holds back, as the budget of the server counts them."""

    def __init__(self, budget: InputBudget, owner: FlowOwner) -> None:
        """`owner` is the connection, which is referred to weakly."""
        self._budget = budget
        self._owner = weakref.ref(owner)
        self._charged_bytes = 0

    def charge(self, held_bytes: int, *, incomplete_bytes: int = 0) -> bool:
        """Set the number of bytes; return False if the budget is spent and the connection has more than its share.

        `incomplete_bytes` of them are a head that has not arrived completely, while no other request is in progress.
        """
        budget = self._budget
        budget.used_bytes += held_bytes - self._charged_bytes
        self._charged_bytes = held_bytes
        if incomplete_bytes > INPUT_SHARE_BYTES:
            budget.incomplete.setdefault(self)
        elif budget.incomplete:
            budget.incomplete.pop(self, None)
        if held_bytes <= INPUT_SHARE_BYTES or budget.used_bytes <= budget.limit_bytes:
            return True
        return budget.make_room(self)

    def give_up(self) -> None:
        """Let the connection refuse its request, and hold nothing."""
        owner = self._owner()
        if owner is not None:
            owner.give_up_input()
        self.charge(0)


class InputFlow(FlowControl):
    """uvicorn's flow control, except that reading goes on only after the held input was decoded."""

    def __init__(self, owner: FlowOwner, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._owner = weakref.ref(owner)

    def resume_reading(self) -> None:
        """Decode the held input first. The owner calls `read_on` when it needs more."""
        owner = self._owner()
        if owner is not None and owner.holds_input:
            owner.schedule_decoding()
        else:
            super().resume_reading()

    def read_on(self) -> None:
        """Read more from the client."""
        super().resume_reading()
