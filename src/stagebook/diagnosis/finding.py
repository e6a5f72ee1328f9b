"""What a check has found, and what follows from it."""

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing has to be done."""
    WARNING = "warning"
    """The server starts, but something will not work for somebody, or not for long."""
    ERROR = "error"
    """The server does not start, a part of it does not work, or strangers can control it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One result of a check.

    `check` is the group, `subject` what was checked, `found` what it is like. `meaning` says what follows for users of
    the server, and `remedy` what to do; both are empty if nothing is wrong.
    """

    check: str
    subject: str
    severity: Severity
    found: str
    meaning: str = ""
    remedy: str = ""


def is_healthy(findings: list[Finding]) -> bool:
    """Return whether no finding is an error."""
    return all(finding.severity is not Severity.ERROR for finding in findings)
