"""Faults that a test asks for: what happens to the next calls of an operation.

The table knows no API. An API of a testing server takes the fault of each call from it and does what its kind says.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from itertools import count

import msgspec

from stagebook.stage.errors import ServerBusyError

ANY_OPERATION = "*"
MAXIMUM_FAULTS = 1_000
"""Faults that are set at the same time. Each call looks at all of them."""


class FaultKind(StrEnum):
    """What happens to a call.

    THROTTLING, ACCESS_DENIED and INTERNAL_ERROR: it is refused as the server itself would refuse it, and has no effect.
    SLOW: it has its effect at once and is answered later.
    CUT: the connection is closed without an answer, and the call has no effect.
    LOSE_ANSWER: the call has its effect, and the connection is closed without an answer.
    CUT_ANSWER: the call has its effect, and the connection is closed in the middle of the body of the answer.
    """

    THROTTLING = "THROTTLING"
    ACCESS_DENIED = "ACCESS_DENIED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    SLOW = "SLOW"
    CUT = "CUT"
    LOSE_ANSWER = "LOSE_ANSWER"
    CUT_ANSWER = "CUT_ANSWER"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault for the next `times` calls of `operation`, of one account or, with None, of all."""

    id: str
    operation: str
    kind: FaultKind
    times: int
    seconds: float = 0.0
    account_id: str | None = None


class FaultTable:
    """The faults that are set, in order of their creation."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._numbers = count(1)
        self._delays_ended = asyncio.Event()

    @property
    def all(self) -> Sequence[Fault]:
        """The faults, each with the calls that are left."""
        return tuple(self._faults.values())

    def add(
        self, *, operation: str, kind: FaultKind, times: int, seconds: float = 0.0, account_id: str | None = None
    ) -> Fault:
        """Set a fault. Raises ServerBusyError for more than MAXIMUM_FAULTS."""
        if len(self._faults) >= MAXIMUM_FAULTS:
            raise ServerBusyError(f"{MAXIMUM_FAULTS} faults are set, which is the maximum; delete some")
        fault = Fault(
            id=f"fault-{next(self._numbers)}",
            operation=operation,
            kind=kind,
            times=times,
            seconds=seconds,
            account_id=account_id,
        )
        self._faults[fault.id] = fault
        return fault

    def remove(self, fault_id: str) -> bool:
        """Remove a fault; return whether there was one."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def take(self, operation: str, account_id: str) -> Fault | None:
        """Return the oldest fault for a call, and count the call; None if there is none."""
        for fault in self._faults.values():
            if fault.operation in {operation, ANY_OPERATION} and fault.account_id in {account_id, None}:
                return self._count(fault)
        return None

    def take_named(self, operation: str) -> Fault | None:
        """As `take`, for a call of which the account is not known, and which a fault of all operations is not for."""
        for fault in self._faults.values():
            if fault.operation == operation and fault.account_id is None:
                return self._count(fault)
        return None

    async def delay(self, seconds: float) -> None:
        """Wait as long as a SLOW answer takes, or until `end_delays`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._delays_ended.wait()

    def end_delays(self) -> None:
        """Let all answers go out, also later ones: a server that stops waits for its requests in progress."""
        self._delays_ended.set()

    def _count(self, fault: Fault) -> Fault:
        if fault.times > 1:
            self._faults[fault.id] = msgspec.structs.replace(fault, times=fault.times - 1)
        else:
            del self._faults[fault.id]
        return fault
