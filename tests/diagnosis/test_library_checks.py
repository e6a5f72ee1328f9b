"""The checks of libraries."""

from stagebook.diagnosis.finding import Severity
from stagebook.diagnosis.library_checks import judge_libraries
from stagebook.diagnosis.library_versions import SQLITE, LibraryVersion, read_library_versions


def test_the_libraries_of_this_environment_can_be_used() -> None:
    assert {finding.severity for finding in judge_libraries(read_library_versions())} == {Severity.OK}


def test_a_library_that_cannot_be_loaded_is_an_error() -> None:
    broken = LibraryVersion(title="FFmpeg", package="av", failure="ImportError: libx264")
    (finding,) = judge_libraries([broken])
    assert finding.severity is Severity.ERROR
    assert "libx264" in finding.found
    assert finding.remedy.startswith("`pip install --force-reinstall av`")


def test_an_old_sqlite_is_an_error() -> None:
    (finding,) = judge_libraries([LibraryVersion(title=SQLITE, package="apsw", version="3.51.2 (apsw 3.51.2.0)")])
    assert finding.severity is Severity.ERROR
    assert "3.51.2 can damage a book" in finding.found
