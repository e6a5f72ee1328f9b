"""Reads for the tests of history processes, which import them from this module."""

import os
import time
from pathlib import Path

from stagebook.history.history_files import HistoryFiles
from stagebook.stage.errors import InvalidInputError

ENDLESS = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT max(n) FROM number"


def add(_files: HistoryFiles, first: int, *, second: int) -> int:
    return first + second


def last_sequence(files: HistoryFiles) -> int:
    return files.log.last_sequence()


def process_id(_files: HistoryFiles) -> int:
    return os.getpid()


def niceness(_files: HistoryFiles) -> int:
    return os.nice(0)


def open_sockets(_files: HistoryFiles) -> int:
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(link.startswith("socket:") for link in links)


def refuse(_files: HistoryFiles) -> None:
    raise InvalidInputError(member="stage", rule="is not a stage")


def return_what_cannot_be_pickled(_files: HistoryFiles) -> object:
    return lambda: None


def run_endless_statement(files: HistoryFiles, started: Path) -> None:
    """Write the id of this process to a named pipe, then run until the end."""
    started.write_text(str(os.getpid()), encoding="utf-8")
    files.tables.rows(ENDLESS)


def sleep_in_database(files: HistoryFiles) -> None:
    files.tables.rows("SELECT pg_sleep(3600)")


def run_endless_loop(files: HistoryFiles) -> None:
    while True:
        files.check()


def hang(_files: HistoryFiles) -> None:
    while True:
        time.sleep(3600)


def crash(_files: HistoryFiles) -> None:
    os._exit(1)
