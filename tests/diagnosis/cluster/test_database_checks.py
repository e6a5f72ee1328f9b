"""What `doctor` says of a database, for facts of every kind."""

from typing import Any

import pytest

from stagebook.book.postgres.postgres_schema import POSTGRES_MIGRATIONS, BookInfo
from stagebook.cluster.database_status import DatabaseStatus, StandbyStatus
from stagebook.diagnosis.cluster.database_checks import DatabaseFacts, judge_database
from stagebook.diagnosis.finding import Finding, Severity

VERSION = len(POSTGRES_MIGRATIONS)
STANDBY = StandbyStatus(name="b", state="streaming", sync_state="sync", lag_bytes=0, lag_seconds=None)


def judged(*, clock_offset_ms: int = 0, book: BookInfo | None = None, **changes: Any) -> dict[str, Finding]:  # noqa: ANN401 - of every type
    values: dict[str, Any] = {
        "version": "16.1",
        "synchronous_standby_names": "",
        "synchronous_commit": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "max_connections": 100,
        "connections": 10,
        "now_ms": 0,
        "size_bytes": 1,
        "standbys": (),
    }
    facts = DatabaseFacts(
        place="here", status=DatabaseStatus(**(values | changes)), book=book, clock_offset_ms=clock_offset_ms
    )
    return {finding.subject: finding for finding in judge_database(facts)}


@pytest.mark.parametrize(
    ("subject", "severity", "facts"),
    [
        ("fsync", Severity.ERROR, {"fsync": "off"}),
        ("full_page_writes", Severity.ERROR, {"full_page_writes": "off"}),
        ("synchronous_commit", Severity.NOTE, {"synchronous_commit": "off"}),
        ("durability", Severity.OK, {}),
        ("standbys", Severity.NOTE, {}),
        ("standbys", Severity.WARNING, {"standbys": (STANDBY,)}),
        ("standbys", Severity.ERROR, {"synchronous_standby_names": "b"}),
        ("standbys", Severity.OK, {"synchronous_standby_names": "b", "standbys": (STANDBY,)}),
        ("connections", Severity.WARNING, {"connections": 90}),
        ("clock", Severity.OK, {"clock_offset_ms": -999}),
        ("clock", Severity.WARNING, {"clock_offset_ms": -1_000}),
        ("clock", Severity.ERROR, {"clock_offset_ms": 15_000}),
        ("schema", Severity.OK, {}),
        ("schema", Severity.OK, {"book": BookInfo(version=VERSION, minimum_version=1, cluster_id="")}),
        ("schema", Severity.NOTE, {"book": BookInfo(version=VERSION + 1, minimum_version=1, cluster_id="")}),
        ("schema", Severity.ERROR, {"book": BookInfo(version=VERSION + 1, minimum_version=VERSION + 1, cluster_id="")}),
    ],
)
def test_each_fact_has_its_severity_and_a_remedy(subject: str, severity: Severity, facts: dict[str, Any]) -> None:
    finding = judged(**facts)[subject]
    assert finding.severity is severity
    assert bool(finding.remedy) == bool(finding.meaning) == (severity is not Severity.OK)
