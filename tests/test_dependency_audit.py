"""The audit of dependencies tells vulnerabilities from a service out of reach, and accepts only what is documented."""

import json

from tests.dependency_audit import SECURITY_PAGE, accepted_advisories, read_report

VULNERABLE = {
    "name": "jinja2",
    "version": "2.10",
    "vulns": [{"id": "PYSEC-2019-217", "aliases": ["CVE-2019-10906"], "fix_versions": ["2.10.1"]}],
}
CLEAN = {"name": "click", "version": "8.5.1", "vulns": []}
UNKNOWN = {"name": "pyjwt", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def output(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_vulnerability_is_a_finding() -> None:
    report = read_report(output(VULNERABLE, CLEAN), frozenset())
    assert report is not None
    assert report.findings == ("jinja2 2.10: PYSEC-2019-217 (CVE-2019-10906), fixed in 2.10.1",)


def test_a_vulnerability_is_accepted_by_its_id_or_an_alias() -> None:
    for advisory in ("PYSEC-2019-217", "CVE-2019-10906"):
        report = read_report(output(VULNERABLE), frozenset({advisory}))
        assert report is not None
        assert report.findings == ()


def test_a_package_that_the_service_does_not_know_is_not_audited() -> None:
    report = read_report(output(UNKNOWN, CLEAN), frozenset())
    assert report is not None
    assert report.skipped == {"pyjwt"}
    assert report.audited == {"click"}


def test_a_failed_audit_has_no_report() -> None:
    assert read_report("ERROR:pip_audit._cli:Could not connect", frozenset()) is None


def test_only_advisories_with_a_reason_are_accepted() -> None:
    page = "| `CVE-2026-1` | no wheel yet |\n| `CVE-2026-2` | |\nCVE-2026-3 is mentioned\n| `GHSA-aa-bb` | not used |\n"
    assert accepted_advisories(page) == {"CVE-2026-1", "GHSA-aa-bb"}


def test_the_page_of_accepted_advisories_is_read() -> None:
    assert "CVE-2026-95690" in accepted_advisories(SECURITY_PAGE.read_text(encoding="utf-8"))
