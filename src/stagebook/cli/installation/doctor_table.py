"""The findings of `stagebook doctor` as a table and as JSON."""

from collections import Counter
from collections.abc import Sequence
from importlib import metadata

import msgspec
from rich.text import Text

from stagebook.cli.terminal.event_rows import new_table
from stagebook.cli.terminal.terminal_text import open_console, plain
from stagebook.diagnosis.finding import Finding, Severity, is_healthy

_STYLES = {Severity.OK: "green", Severity.NOTE: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a table, then what the problems mean and what to do, the errors first, and the numbers of each severity."""
    table = new_table("State", "Check", "Subject", "Finding")
    for finding in findings:
        table.add_row(_state(finding), finding.check, plain(finding.subject), plain(finding.found))
    console = open_console()
    console.print(table)
    for severity in reversed(Severity):
        for finding in findings:
            if finding.severity is severity and finding.meaning:
                console.print(
                    _state(finding).append_text(plain(f" {finding.check}, {finding.subject}: {finding.found}"))
                )
                console.print(plain(f"This means: {finding.meaning}."))
                console.print(plain(f"To do: {finding.remedy}."), end="\n\n")
    counts = Counter(finding.severity for finding in findings)
    console.print(", ".join(f"{counts[severity]} {severity.value}" for severity in reversed(Severity)))


def _state(finding: Finding) -> Text:
    return Text(finding.severity.value, style=_STYLES[finding.severity])


def print_json(findings: Sequence[Finding]) -> None:
    """Print one JSON document: `version`, `isHealthy` and the `findings`."""
    document = {
        "version": metadata.version("stagebook"),
        "isHealthy": is_healthy(list(findings)),
        "findings": [msgspec.structs.asdict(finding) for finding in findings],
    }
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
