"""Audit of pinned dependencies against public advisories: `make audit`.

pip-audit exits with 1 for a vulnerability as well as for a service that it cannot reach, and with 0 if the service does
not know any of the packages, as a mirror of PyPI may do. So each service is first asked about a version that is
known to be vulnerable. A service that does not report it is treated as out of reach.

The exit code is 1 if a package has an advisory that docs/security.md does not accept, and 0 otherwise. The last line of
the output says which of the three it was: no vulnerability, vulnerabilities, or no audit.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

SERVICES = ("pypi", "osv")
KNOWN_VULNERABLE = "jinja2==2.10"
TIMEOUT_SECONDS = 600
SECURITY_PAGE = Path(__file__).parent.parent / "docs" / "security.md"
ADVISORY_ROW = re.compile(r"^\| `((?:CVE|GHSA|PYSEC)-[\w-]+)` \| [^\s|]", re.MULTILINE)


class Report(NamedTuple):
    """The result of pip-audit: the names of the audited packages, and the advisories that are not accepted."""

    audited: frozenset[str]
    skipped: frozenset[str]
    findings: tuple[str, ...]


def accepted_advisories(page: str) -> frozenset[str]:
    """Return the ids in the table of accepted advisories in docs/security.md. A row without a reason does not count."""
    return frozenset(ADVISORY_ROW.findall(page))


def read_report(output: str, accepted: frozenset[str]) -> Report | None:
    """Return the report in the JSON that pip-audit wrote, or None if it wrote none because it failed."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    findings = [
        f"{dependency['name']} {dependency['version']}: {advisory['id']} ({', '.join(advisory['aliases'])}), fixed in "
        f"{', '.join(advisory['fix_versions']) or 'no version'}"
        for dependency in dependencies
        for advisory in dependency.get("vulns", ())
        if accepted.isdisjoint([advisory["id"], *advisory["aliases"]])
    ]
    skipped = frozenset(dependency["name"] for dependency in dependencies if "skip_reason" in dependency)
    names = frozenset(dependency["name"] for dependency in dependencies)
    return Report(audited=names - skipped, skipped=skipped, findings=tuple(findings))


def run_pip_audit(service: str, requirements: Path, accepted: frozenset[str]) -> Report | None:
    """Return what a service reports about a file of pinned requirements, or None if it cannot be reached."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--vulnerability-service",
        service,
        "--requirement",
        str(requirements),
    ]
    options = ["--no-deps", "--disable-pip", "--format", "json", "--aliases", "on", "--progress-spinner", "off"]
    try:
        result = subprocess.run([*command, *options], capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    return read_report(result.stdout.decode(), accepted)


def answering_service() -> str | None:
    """Return the first service that reports the version that is known to be vulnerable."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "known_vulnerable.txt"
        requirements.write_text(KNOWN_VULNERABLE + "\n", encoding="utf-8")
        for service in SERVICES:
            report = run_pip_audit(service, requirements, frozenset())
            if report and report.findings:
                return service
    return None


def audit(files: Sequence[Path]) -> int:
    """Audit files of pinned requirements, print the result, and return the exit code."""
    service = answering_service()
    if service is None:
        print(f"audit: NOT DONE: none of the advisory services ({', '.join(SERVICES)}) can be reached from here;")
        print("audit: docs/security.md lists the advisories that were reviewed by hand, with the date")
        return 0
    accepted = accepted_advisories(SECURITY_PAGE.read_text(encoding="utf-8"))
    code = 0
    for file in files:
        report = run_pip_audit(service, file, accepted)
        if report is None or report.skipped:
            missing = "all" if report is None else ", ".join(sorted(report.skipped))
            print(f"audit: {file}: FAILED: {service} answers, but not for: {missing}")
            code = 1
        for finding in report.findings if report else ():
            print(f"audit: {file}: {finding}")
            code = 1
        print(f"audit: {file}: {len(report.audited if report else ())} packages audited with {service}")
    print("audit: FAILED" if code else f"audit: no vulnerability except the accepted {', '.join(sorted(accepted))}")
    return code


if __name__ == "__main__":
    sys.exit(audit([Path(name) for name in sys.argv[1:]]))
