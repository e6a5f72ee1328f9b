"""The results for machines: JSON with a document of all results, and the XML of JUnit that CI systems read."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import msgspec

from stagebook.conformance.check_outcomes import CheckOutcome, CheckResult, counts

_SKIPPED = {CheckOutcome.SKIPPED, CheckOutcome.NOT_RUN, CheckOutcome.EXPECTED_FAILURE}


def json_report(
    results: Sequence[CheckResult], *, endpoint_url: str, passes: Sequence[str], left: Sequence[str]
) -> str:
    """Return the results as one JSON object."""
    document = {
        "endpointUrl": endpoint_url,
        "counts": {outcome.value: number for outcome, number in counts(list(results)).items()},
        "unexpectedPasses": list(passes),
        "notDeleted": list(left),
        "results": [_document(result) for result in results],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def junit_report(results: Sequence[CheckResult]) -> str:
    """Return the results as a JUnit test suite, one test case for each check, in classes named by the operations."""
    numbers = counts(list(results))
    suite = ET.Element(
        "testsuite",
        name="stagebook conformance",
        tests=str(len(results)),
        failures=str(numbers[CheckOutcome.FAILED]),
        errors="0",
        skipped=str(sum(numbers[outcome] for outcome in _SKIPPED)),
    )
    for result in results:
        case = ET.SubElement(suite, "testcase", classname=result.operation, name=result.name)
        if result.outcome is CheckOutcome.FAILED:
            text = f"expected {result.expected}, got {result.got}"
            failure = ET.SubElement(case, "failure", message=_xml_text(text))
            failure.text = _xml_text(f"source: {result.source}\nrequest: {result.request_id}")
        elif result.outcome in _SKIPPED:
            ET.SubElement(case, "skipped", message=_xml_text(result.reason or f"expected failure: {result.got}"))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def _document(result: CheckResult) -> dict[str, str | int]:
    document: dict[str, str | int] = {
        "name": result.name,
        "operation": result.operation,
        "outcome": result.outcome.value,
        "source": result.source,
        "basis": result.basis,
        "cost": result.cost,
        "calls": result.calls,
    }
    details = {
        "expected": result.expected,
        "got": result.got,
        "requestId": result.request_id,
        "reason": result.reason,
    }
    return document | {name: text for name, text in details.items() if text}


def _xml_text(text: str) -> str:
    """Return a text without the characters that XML cannot have; a server may answer with anything."""
    return "".join(character for character in text if character in "\t\n" or character >= " ")
