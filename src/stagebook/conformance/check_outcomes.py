"""How a check ends: it passes, fails, is skipped, or was never run."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class CheckFailedError(Exception):
    """The server broke the rule. `expected` and `got` are short texts for a person."""

    def __init__(self, *, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = got


class CheckSkippedError(Exception):
    """The rule cannot be tried on this server, for the reason in the message."""


class CheckOutcome(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    EXPECTED_FAILURE = "expected failure"
    SKIPPED = "skipped"
    NOT_RUN = "not run"


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check. `reason` says why it was skipped or not run; the rest describes a failure."""

    name: str
    operation: str
    source: str
    basis: str
    cost: str
    outcome: CheckOutcome
    expected: str = ""
    got: str = ""
    request_id: str = ""
    reason: str = ""
    calls: int = 0


def counts(results: list[CheckResult]) -> Mapping[CheckOutcome, int]:
    """Return how many results have each outcome."""
    return {outcome: sum(result.outcome is outcome for result in results) for outcome in CheckOutcome}
