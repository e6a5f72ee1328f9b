"""The results for a person: a table by operation, then each failure with its source and what was expected."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stagebook.conformance.check import Check
from stagebook.conformance.check_outcomes import CheckOutcome, CheckResult, counts

_COLUMNS = {  # the color of each column
    CheckOutcome.PASSED: "green",
    CheckOutcome.FAILED: "red",
    CheckOutcome.EXPECTED_FAILURE: "yellow",
    CheckOutcome.SKIPPED: "cyan",
    CheckOutcome.NOT_RUN: "cyan",
}
_HEADINGS = {CheckOutcome.EXPECTED_FAILURE: "expected"}
SHOWN_REASONS = 10


def print_results(
    console: Console, results: Sequence[CheckResult], *, passes: Sequence[str], left: Sequence[str]
) -> None:
    """Print the table, the failures, the unexpected passes, and the resources that could not be deleted."""
    console.print(_table(results))
    for result in results:
        if result.outcome is CheckOutcome.FAILED:
            _print_failure(console, result)
    _print_reasons(console, results)
    for name in passes:
        console.print(f"[yellow]unexpected pass[/] {escape(name)}: it is in the file of expected failures")
    for text in left:
        console.print(f"[red]not deleted[/] {escape(text)}", soft_wrap=True)
    totals = counts(list(results))
    calls = sum(result.calls for result in results)
    parts = [f"{number} {outcome}" for outcome, number in totals.items() if number]
    console.print(f"{len(results)} checks, {calls} calls: " + ", ".join(parts))


def name_lines(checks: Iterable[Check]) -> Iterator[str]:
    """Yield the name, cost, basis and source of each check, separated by tabs."""
    for check in checks:
        yield "\t".join((check.name, check.cost, check.basis, check.source))


def _table(results: Sequence[CheckResult]) -> Table:
    table = Table()
    table.add_column("operation", no_wrap=True)
    for outcome, color in _COLUMNS.items():
        table.add_column(_HEADINGS.get(outcome, outcome.value), justify="right", style=color)
    for operation, group in groupby(results, key=lambda result: result.operation):
        numbers = counts(list(group))
        table.add_row(operation, *(str(numbers[outcome] or "") for outcome in _COLUMNS))
    return table


def _print_failure(console: Console, result: CheckResult) -> None:
    console.print(f"\n[red]failed[/] [bold]{escape(result.name)}[/] ({result.basis})", soft_wrap=True)
    console.print(f"  source:   {escape(result.source)}", soft_wrap=True)
    console.print(f"  expected: {escape(result.expected)}", soft_wrap=True)
    console.print(f"  got:      {escape(result.got)}", soft_wrap=True)
    if result.request_id:
        console.print(f"  request:  {escape(result.request_id)}")


def _print_reasons(console: Console, results: Sequence[CheckResult]) -> None:
    """Print why checks were skipped or not run, each reason once with the number of checks."""
    reasons: dict[str, int] = {}
    for result in results:
        if result.reason:
            reasons[result.reason] = reasons.get(result.reason, 0) + 1
    console.print()
    for reason, number in list(reasons.items())[:SHOWN_REASONS]:
        console.print(f"{number} skipped or not run: {escape(reason)}", soft_wrap=True)
