"""The reports of a run: the table, JSON, JUnit, and the baseline of expected failures."""

import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from stagebook.conformance.check_outcomes import CheckOutcome, CheckResult
from stagebook.conformance.check_suite import UnknownCheckError
from stagebook.conformance.reports.expected_failures import read_expected_failures, unexpected_passes, with_expected
from stagebook.conformance.reports.result_files import json_report, junit_report
from stagebook.conformance.reports.result_table import print_results

NAMES = ("GetStage.output", "GetStage.unsigned", "ListStages.output", "ListStages.pages-complete")


def result(name: str, outcome: CheckOutcome, **details: str) -> CheckResult:
    operation = name.partition(".")[0]
    made = CheckResult(
        name=name, operation=operation, source="a page", basis="documented", cost="harmless", outcome=outcome
    )
    return msgspec.structs.replace(made, **details)


RESULTS = [
    result(NAMES[0], CheckOutcome.PASSED),
    result(NAMES[1], CheckOutcome.FAILED, expected="403 [x]", got="200\x00", request_id="id-1"),
    result(NAMES[2], CheckOutcome.SKIPPED, reason="no account"),
    result(NAMES[3], CheckOutcome.NOT_RUN, reason="the budget of calls is spent"),
]


def test_the_table_shows_numbers_failures_and_reasons() -> None:
    output = StringIO()
    print_results(Console(file=output, width=100), RESULTS, passes=["GetStage.arn"], left=["arn:aws:ivs:1"])
    text = output.getvalue()
    rows = [line.replace("│", " ").split() for line in text.splitlines() if line.startswith("│")]
    assert rows == [["GetStage", "1", "1"], ["ListStages", "1", "1"]]
    for part in (
        "failed GetStage.unsigned",
        "403 [x]",
        "request:  id-1",
        "unexpected pass GetStage.arn",
        "arn:aws:ivs:1",
    ):
        assert part in text
    assert "1 skipped or not run: no account" in text
    assert text.endswith("4 checks, 0 calls: 1 passed, 1 failed, 1 skipped, 1 not run\n")


def test_json() -> None:
    document = json.loads(json_report(RESULTS, endpoint_url="http://127.0.0.1:1", passes=[], left=[]))
    assert document["counts"]["failed"] == 1
    assert [each["outcome"] for each in document["results"]] == ["passed", "failed", "skipped", "not run"]
    assert document["results"][1]["requestId"] == "id-1"
    assert "expected" not in document["results"][0]


def test_junit() -> None:
    suite = ET.fromstring(junit_report(RESULTS))  # noqa: S314 - written by this program
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "2")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == "expected 403 [x], got 200"


def test_expected_failures_are_marked_and_their_passes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "baseline.txt"
    path.write_text(f"# known\n{NAMES[0]}\n{NAMES[1]}  # not signed\n\n")
    expected = read_expected_failures(path, known=NAMES)
    marked = with_expected(RESULTS, expected)
    assert [each.outcome for each in marked[:2]] == [CheckOutcome.PASSED, CheckOutcome.EXPECTED_FAILURE]
    assert unexpected_passes(marked, expected) == [NAMES[0]]


def test_a_baseline_with_an_unknown_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.txt"
    path.write_text("GetStage.renamed\n")
    with pytest.raises(UnknownCheckError, match=r"GetStage\.renamed"):
        read_expected_failures(path, known=NAMES)
