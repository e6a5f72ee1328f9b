"""A fault of the AWS API: the next calls of one operation fail."""

from types import TracebackType
from typing import Self

import msgspec

from stagebook.testing.codes import FaultKind
from stagebook.testing.testing_calls import ControlCalls, path_of
from stagebook.testing.testing_errors import CallRefusedError

NOT_FOUND = 404


class FaultAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the test tools read of the description of a fault."""

    id: str


class InjectedFault:
    """One fault, in force from its creation until it has happened `times` times or is removed.

    As a context manager it is removed at the end of the block.
    """

    def __init__(self, calls: ControlCalls, *, fault_id: str) -> None:
        self._calls = calls
        self.id = fault_id

    def remove(self) -> None:
        """End the fault. One that has happened as often as it should is gone already."""
        try:
            self._calls.call("DELETE", path_of("faults", self.id), object)
        except CallRefusedError as error:
            if error.status != NOT_FOUND:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def new_fault(
    calls: ControlCalls, operation: str, kind: FaultKind, *, times: int, seconds: float | None, account_id: str | None
) -> InjectedFault:
    """Create a fault. Raises CallRefusedError."""
    answer = calls.post(
        "faults", FaultAnswer, operation=operation, kind=kind, times=times, seconds=seconds, accountId=account_id
    )
    return InjectedFault(calls, fault_id=answer.id)
