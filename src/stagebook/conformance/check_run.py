"""Runs checks one after another and keeps a result for each, also of those that the run did not come to."""

from collections.abc import Callable, Sequence

import msgspec

from stagebook.conformance.check import Check
from stagebook.conformance.check_outcomes import CheckFailedError, CheckOutcome, CheckResult, CheckSkippedError
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.call_pace import BudgetSpentError


class CheckRun:
    """The results so far, in the order of the checks. `progress` gets their number after each check."""

    def __init__(self, service: ServiceUnderTest, *, progress: Callable[[int], None] = lambda _count: None) -> None:
        self.results: list[CheckResult] = []
        self._service = service
        self._progress = progress
        self._stop_reason = ""

    def run(self, checks: Sequence[Check]) -> None:
        """Run the checks. After the budget is spent or an interrupt, the rest is not run.

        KeyboardInterrupt and UnreachableError are raised again once every check has a result.
        """
        for position, check in enumerate(checks):
            try:
                result = self._result(check)
            except BaseException:
                self._stop_reason = self._stop_reason or "the run was interrupted"
                self.results += [_not_run(each, self._stop_reason) for each in checks[position:]]
                raise
            self.results.append(result)
            self._progress(len(self.results))

    def _result(self, check: Check) -> CheckResult:
        if self._stop_reason:
            return _not_run(check, self._stop_reason)
        calls, self._service.last_request_id = self._service.client.pace.calls, ""
        return msgspec.structs.replace(self._try(check), calls=self._service.client.pace.calls - calls)

    def _try(self, check: Check) -> CheckResult:
        try:
            check.body(self._service)
        except CheckFailedError as failure:
            return _result(
                check,
                CheckOutcome.FAILED,
                expected=failure.expected,
                got=failure.got,
                request_id=self._service.last_request_id,
            )
        except CheckSkippedError as skip:
            return _result(check, CheckOutcome.SKIPPED, reason=str(skip))
        except BudgetSpentError:
            self._stop_reason = "the budget of calls is spent"
            return _not_run(check, self._stop_reason)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            # An answer of an unexpected form. The check reads it as documented, and the server does not keep to that.
            got = f"an answer of another form ({type(error).__name__}: {error})"
            return _result(
                check,
                CheckOutcome.FAILED,
                expected="the documented members",
                got=got,
                request_id=self._service.last_request_id,
            )
        return _result(check, CheckOutcome.PASSED)


def _result(check: Check, outcome: CheckOutcome, **details: str) -> CheckResult:
    result = CheckResult(
        name=check.name,
        operation=check.operation,
        source=check.source,
        basis=check.basis,
        cost=check.cost,
        outcome=outcome,
    )
    return msgspec.structs.replace(result, **details)


def _not_run(check: Check, reason: str) -> CheckResult:
    return _result(check, CheckOutcome.NOT_RUN, reason=reason)
