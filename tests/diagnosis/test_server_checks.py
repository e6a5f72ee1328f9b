"""The checks of a running server, with a real lock and a real book."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from stagebook.api.watch.health import Health, LiveKitHealth, ServerStatus
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.data_folder.secrets import DataFolder, ServerAddress
from stagebook.diagnosis.finding import Severity
from stagebook.diagnosis.server_checks import RunningServerFacts, judge_server, read_server_facts, running_server
from stagebook.server.system_clock import SystemRandomness

HEALTHY = Health(
    status=ServerStatus.OK, version="1.0", auth="on", unknown_stream_keys=0, encoder_streams=0, shed_encoders=0
)


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


@pytest.fixture(name="lock")
def lock_fixture(folder: DataFolder) -> Iterator[BookLock]:
    with BookLock.take(folder.book_path) as lock:
        yield lock


def severities(facts: RunningServerFacts) -> dict[str, Severity]:
    """Return the severity of each finding by its subject."""
    return {finding.subject: finding.severity for finding in judge_server(facts)}


def facts_of(*, health: Health | None = HEALTHY, failure: str = "", installed: str = "1.0") -> RunningServerFacts:
    return RunningServerFacts(
        installed_version=installed, process_id=7, endpoint_url="http://127.0.0.1:1", health=health, failure=failure
    )


def test_the_holder_of_the_lock_is_the_server(folder: DataFolder, lock: BookLock) -> None:
    assert running_server(folder) == os.getpid()
    lock.release()
    assert running_server(folder) is None


def test_a_look_at_the_lock_does_not_keep_it(folder: DataFolder) -> None:
    BookLock.take(folder.book_path).release()
    running_server(folder)
    BookLock.take(folder.book_path).release()


def test_a_new_folder_has_no_server(folder: DataFolder) -> None:
    facts = read_server_facts(folder)
    assert (facts.process_id, facts.endpoint_url, facts.newest_event_ms) == (None, None, None)
    assert severities(facts) == {"server": Severity.OK}


@pytest.mark.usefixtures("lock")
def test_a_server_that_does_not_answer_is_an_error(folder: DataFolder) -> None:
    folder.access_key(account_id="123456789012", randomness=SystemRandomness())
    folder.write_server_address(ServerAddress(endpoint_url="http://127.0.0.1:1", region="us-west-2"))
    facts = read_server_facts(folder)
    assert facts.failure
    assert severities(facts) == {"server": Severity.ERROR}


def test_a_file_that_is_no_book_is_an_error(folder: DataFolder) -> None:
    folder.book_path.write_bytes(b"no database" * 100)
    assert severities(read_server_facts(folder)) == {"book": Severity.ERROR, "server": Severity.OK}


def test_a_healthy_server_is_fine() -> None:
    assert severities(facts_of()) == {"server": Severity.OK}


def test_a_server_that_has_failed_is_an_error() -> None:
    health = Health(
        status=ServerStatus.FAILED, version="1.0", auth="on", unknown_stream_keys=0, encoder_streams=0, shed_encoders=0
    )
    assert severities(facts_of(health=health)) == {"server": Severity.ERROR}


@pytest.mark.parametrize(
    ("state", "expected"),
    [("reachable", Severity.OK), ("failing", Severity.ERROR), ("unreachable", Severity.ERROR)],
)
def test_the_state_of_livekit_is_a_finding(state: str, expected: Severity) -> None:
    livekit = LiveKitHealth(state=state, since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    findings = list(judge_server(facts_of(health=msgspec.structs.replace(HEALTHY, livekit=livekit))))
    assert [finding.severity for finding in findings if finding.subject == "LiveKit"] == [expected]
    assert any(finding.found == f"{state} since 2026-01-02T03:04:05Z" for finding in findings)


def test_a_server_of_another_version_is_a_warning() -> None:
    assert severities(facts_of(installed="1.1"))["version"] is Severity.WARNING


def test_of_a_closed_folder_nothing_is_known(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may look everywhere
    assert severities(read_server_facts(folder)) == {"server": Severity.NOTE}
