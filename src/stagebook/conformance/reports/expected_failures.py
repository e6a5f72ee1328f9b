"""The baseline of a server: the names of checks that are known to fail there.

One name in a line; text after `#` is a comment. A check of the baseline that fails is an expected failure. One that
passes is reported, so that it can be taken from the file.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from stagebook.conformance.check_outcomes import CheckOutcome, CheckResult
from stagebook.conformance.check_suite import UnknownCheckError


def read_expected_failures(path: Path, *, known: Iterable[str]) -> frozenset[str]:
    """Return the names in a baseline. Raises OSError, and UnknownCheckError for a line that names no check."""
    names = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    expected = frozenset(name for name in names if name)
    unknown = sorted(expected - frozenset(known))
    if unknown:
        raise UnknownCheckError(f"{path} names checks that do not exist: {', '.join(unknown)}")
    return expected


def with_expected(results: Iterable[CheckResult], expected: frozenset[str]) -> list[CheckResult]:
    """Return the results with the failures of the baseline marked as expected."""
    return [
        msgspec.structs.replace(result, outcome=CheckOutcome.EXPECTED_FAILURE)
        if result.outcome is CheckOutcome.FAILED and result.name in expected
        else result
        for result in results
    ]


def unexpected_passes(results: Iterable[CheckResult], expected: frozenset[str]) -> list[str]:
    """Return the names in the baseline that passed."""
    return [result.name for result in results if result.outcome is CheckOutcome.PASSED and result.name in expected]
