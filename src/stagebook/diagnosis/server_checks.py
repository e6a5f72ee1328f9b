"""The server of a data folder: whether one runs, whether it is healthy, and whether its book can be read."""

import fcntl
import http.client
import os
from collections.abc import Iterator
from importlib import metadata
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import msgspec

from stagebook.api.watch.health import Health, LiveKitHealth, ServerStatus
from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.data_folder.folder_permissions import DataFolderError
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.folder_checks import is_visible
from stagebook.history.history_files import HistoryFiles

CHECK = "server"
TIMEOUT_SECONDS = 3.0
HEALTH_LIMIT_BYTES = 65_536


class RunningServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the server of a data folder.

    `process_id` is None if none runs. `endpoint_url` is that of the last run, None without one. `health` is the answer
    of `/health`, or None with the reason in `failure`. `book_failure` says why the book cannot be read.
    """

    installed_version: str
    is_folder_closed: bool = False
    """Whether this user may not look into the data folder, so that nothing is known."""
    process_id: int | None = None
    endpoint_url: str | None = None
    health: Health | None = None
    failure: str = ""
    book_failure: str = ""
    newest_event_ms: int | None = None


def read_server_facts(folder: DataFolder) -> RunningServerFacts:
    """Look for a server of the folder, and ask it how it is."""
    version = metadata.version("stagebook")
    if is_visible(folder.path) and not os.access(folder.path, os.R_OK | os.X_OK):
        return RunningServerFacts(installed_version=version, is_folder_closed=True)
    facts = RunningServerFacts(installed_version=version, process_id=running_server(folder))
    newest_ms, book_failure = _read_book(folder)
    facts = msgspec.structs.replace(facts, newest_event_ms=newest_ms, book_failure=book_failure)
    try:
        address, _ = folder.read_server_access()
    except DataFolderError:
        return facts
    facts = msgspec.structs.replace(facts, endpoint_url=address.endpoint_url)
    if facts.process_id is None:
        return facts
    try:
        return msgspec.structs.replace(facts, health=read_health(address.endpoint_url))
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        return msgspec.structs.replace(facts, failure=str(reason) or type(error).__name__)


def running_server(folder: DataFolder) -> int | None:
    """Return the process of the server that has the book's lock, None if none has.

    The lock is tried in shared mode and released at once. A server that starts in this very moment would be refused.
    """
    path = folder.book_path.with_name(folder.book_path.name + ".lock")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(descriptor)
    return None


def read_health(endpoint_url: str) -> Health:
    """Return the answer of `/health`. Raises OSError, HTTPException, or ValueError for what is no such answer."""
    # Without the proxies of the environment: they serve addresses outside.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{endpoint_url}/health", timeout=TIMEOUT_SECONDS) as response:
            body = response.read(HEALTH_LIMIT_BYTES)
    except HTTPError as error:
        # 503 has the same body, and says why.
        with error:
            body = error.read(HEALTH_LIMIT_BYTES)
    return msgspec.json.decode(body, type=Health)


def _read_book(folder: DataFolder) -> tuple[int | None, str]:
    """Return the time of the newest event, and why the book cannot be read."""
    if not is_visible(folder.book_path):
        return None, ""
    try:
        with HistoryFiles(folder.book_path) as files:
            return files.book.last_time_ms(), ""
    except (BookRefusedError, BookFailedError) as error:
        return None, str(error)


def judge_server(facts: RunningServerFacts) -> Iterator[Finding]:
    """Yield the findings about the server and its book."""
    if facts.is_folder_closed:
        yield _finding(
            "server",
            Severity.NOTE,
            "not known: this user may not look into the data folder",
            "neither the server nor its book is checked",
            "run this command as the user of the server",
        )
        return
    if facts.book_failure:
        yield _finding(
            "book",
            Severity.ERROR,
            facts.book_failure,
            "it cannot be read as it is",
            "a book of an older version is migrated by the next start; restore any other one from a backup",
        )
    elif facts.newest_event_ms is not None:
        yield _finding("book", Severity.OK, "can be read")
    if facts.process_id is None:
        found = "none has run on this data folder yet" if facts.endpoint_url is None else "not running"
        yield _finding("server", Severity.OK, found)
        return
    running = f"process {facts.process_id}" if facts.process_id else "a process"
    if facts.health is None:
        yield _finding(
            "server",
            Severity.ERROR,
            f"{running} has the book open, and {facts.endpoint_url}/health does not answer: {facts.failure}",
            "it is starting or stopping, or public_url does not lead to it",
            "read its log; test the proxy in front of it",
        )
    else:
        yield from _judge_health(facts, facts.health, running)


def _judge_health(facts: RunningServerFacts, health: Health, running: str) -> Iterator[Finding]:
    if health.status is ServerStatus.OK:
        yield _finding("server", Severity.OK, f"{running} serves {facts.endpoint_url}, version {health.version}")
    else:
        remedy = "read its log, and start it again"
        yield _finding("server", Severity.ERROR, f"{running} is {health.status}", "it refuses requests", remedy)
    if isinstance(health.livekit, LiveKitHealth):
        yield _judge_livekit(health.livekit)
    if health.version != facts.installed_version:
        yield _finding(
            "version",
            Severity.WARNING,
            f"{health.version} runs, {facts.installed_version} is installed",
            "the installed version is not in use yet",
            "make a backup of the book, and start the server again",
        )


def _judge_livekit(livekit: LiveKitHealth) -> Finding:
    found = f"{livekit.state} since {livekit.since:%Y-%m-%dT%H:%M:%SZ}"
    if livekit.state == "reachable":
        return _finding("LiveKit", Severity.OK, found)
    if livekit.state == "failing":
        meaning, remedy = "it answers by errors, and media continues", "look at its Redis, and at the proxy before it"
    else:
        meaning, remedy = "nobody can publish or watch, and no room is read", "start it, or correct its URL"
    return _finding("LiveKit", Severity.ERROR, found, meaning, remedy)


def _finding(subject: str, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=subject, severity=severity, found=found, meaning=meaning, remedy=remedy)
