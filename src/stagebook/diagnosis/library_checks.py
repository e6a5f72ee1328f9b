"""The libraries: whether each can be used, and whether SQLite is new enough for a book."""

from collections.abc import Iterable, Iterator

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.sqlite.book_connection import check_sqlite_version
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.library_versions import SQLITE, LibraryVersion

CHECK = "libraries"


def judge_libraries(libraries: Iterable[LibraryVersion]) -> Iterator[Finding]:
    """Yield a finding for each library."""
    for library in libraries:
        if library.version is None:
            problem = f"cannot be used: {library.failure}"
            remedy = f"`pip install --force-reinstall {library.package}` in the environment of Stagebook"
            yield _finding(library, Severity.ERROR, problem, "a part of the server does not work", remedy)
        elif problem := _refusal(library):
            yield _finding(
                library, Severity.ERROR, problem, "the server does not start", "`pip install --upgrade apsw`"
            )
        else:
            yield _finding(library, Severity.OK, library.version)


def _refusal(library: LibraryVersion) -> str:
    """Return why the book refuses this library, an empty text if it does not."""
    if library.title == SQLITE and library.version is not None:
        try:
            check_sqlite_version(library.version.partition(" ")[0])
        except BookRefusedError as error:
            return str(error)
    return ""


def _finding(library: LibraryVersion, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=library.title, severity=severity, found=found, meaning=meaning, remedy=remedy)
