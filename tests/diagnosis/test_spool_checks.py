"""The check of what waits on the disk for the store of recordings."""

import os
import time
from pathlib import Path

from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Severity
from stagebook.diagnosis.spool_checks import OLD_SECONDS, SpoolFacts, judge_spools, read_spool_facts


def leave(folder: Path, name: str, *, size_bytes: int, age_seconds: float) -> None:
    """Leave an object in an upload."""
    path = folder / "recordings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size_bytes))
    written_at = time.time() - age_seconds
    os.utime(path, (written_at, written_at))


def test_what_waits_is_counted_over_recordings_and_compositions(tmp_path: Path) -> None:
    for name in ("_spool/one/0000000001", "_spool/one/0000000002", "_compositions/c/d/0000000001"):
        leave(tmp_path, name, size_bytes=500_000, age_seconds=7_200)
    # No objects: a journal, and a file that is being written.
    leave(tmp_path, "_spool/two/journal", size_bytes=10, age_seconds=90_000)
    leave(tmp_path, "_spool/two/0000000001.writing", size_bytes=10, age_seconds=90_000)
    facts = read_spool_facts(Settings(), DataFolder(tmp_path))
    assert (facts.recordings, facts.size_bytes) == (2, 1_500_000)
    [finding] = judge_spools(facts)
    assert finding.severity is Severity.WARNING
    assert finding.found == "1.5 MB of 2 recordings, the oldest for 2 hours"
    assert "14 days" in finding.meaning


def test_what_waits_for_a_moment_is_fine(tmp_path: Path) -> None:
    leave(tmp_path, "_spool/one/0000000001", size_bytes=1, age_seconds=OLD_SECONDS / 2)
    [finding] = judge_spools(read_spool_facts(Settings(), DataFolder(tmp_path)))
    assert finding.severity is Severity.OK


def test_a_folder_that_the_first_recording_makes_is_fine(tmp_path: Path) -> None:
    [finding] = judge_spools(read_spool_facts(Settings(), DataFolder(tmp_path / "none")))
    assert finding.severity is Severity.OK


def test_a_spool_that_cannot_be_read_is_told() -> None:
    [finding] = judge_spools(SpoolFacts(subject="/data/recordings", leftover_days=14, is_readable=False))
    assert finding.severity is Severity.WARNING
    assert "as the user of the server" in finding.remedy
