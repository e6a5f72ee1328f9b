"""The database of a book: whether it can be used, and whether it keeps what it has acknowledged."""

import time
from collections.abc import Iterator
from typing import Final

import msgspec

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import POSTGRES_MIGRATIONS, BookInfo, read_book_info
from stagebook.cluster.database_status import DatabaseStatus, read_database_status
from stagebook.cluster.forwarding.forwarding_seal import MAXIMUM_AGE_SECONDS
from stagebook.diagnosis.finding import Finding, Severity

CHECK: Final = "database"
FULL_SHARE: Final = 0.9
"""The part of `max_connections` from which on a start may fail."""
CLOCK_NOTICE_MS: Final = 1_000
CLOCK_LIMIT_MS: Final = round(MAXIMUM_AGE_SECONDS * 1_000 / 2)
"""Two nodes that both differ by this much, in opposite directions, refuse the requests of each other."""


class DatabaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A database that has answered. `clock_offset_ms` is how far the clock of this machine is ahead of its clock.

    `book` is None if there is none yet.
    """

    place: str
    status: DatabaseStatus
    book: BookInfo | None
    clock_offset_ms: int


def read_database_facts(connection: PostgresConnection) -> DatabaseFacts:
    """Ask the database. Raises BookFailedError."""
    connection.execute("SELECT 1")  # So that the times below are those of one round trip, without preparations.
    before_ms = time.time() * 1_000
    ((now_ms,),) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::double precision * 1000")
    middle_ms = (before_ms + time.time() * 1_000) / 2
    return DatabaseFacts(
        place=connection.place,
        status=read_database_status(connection),
        book=read_book_info(connection),
        clock_offset_ms=round(middle_ms - now_ms),
    )


def judge_unusable(subject: str, failure: str) -> Finding:
    """Return the finding of a database that cannot be used."""
    remedy = "start PostgreSQL, open its port to this machine, or correct database_url"
    return _finding(subject, Severity.ERROR, failure, "the server does not start", remedy)


def judge_database(facts: DatabaseFacts) -> Iterator[Finding]:
    """Yield the findings about a database."""
    yield _finding("server", Severity.OK, f"PostgreSQL {facts.status.version}: {facts.place}")
    yield _judge_schema(facts.book, version=len(POSTGRES_MIGRATIONS))
    yield from _judge_durability(facts.status)
    yield _judge_standbys(facts.status)
    yield _judge_connections(facts.status)
    yield _judge_clock(facts.clock_offset_ms)


def _judge_schema(book: BookInfo | None, *, version: int) -> Finding:
    if book is None:
        return _finding("schema", Severity.OK, "no book yet; the first start creates it")
    found = f"version {book.version}; this Stagebook has version {version}"
    if book.minimum_version > version:
        remedy = "install the version of Stagebook that the other nodes have"
        return _finding("schema", Severity.ERROR, found, "the server refuses the book", remedy)
    if book.version > version:
        remedy = "end the upgrade: start this node with the new version too"
        return _finding("schema", Severity.NOTE, found, "another node is newer, and both can use the book", remedy)
    if book.version < version:
        remedy = "nothing: the next start migrates it, while the other nodes serve"
        return _finding("schema", Severity.NOTE, found, "the book is older, and both can use it", remedy)
    return _finding("schema", Severity.OK, found)


def _judge_durability(status: DatabaseStatus) -> Iterator[Finding]:
    values = {"fsync": status.fsync, "full_page_writes": status.full_page_writes}
    for name, value in values.items():
        if value == "off":
            meaning = "a crash of its machine can damage the book, or lose events that were acknowledged"
            yield _finding(name, Severity.ERROR, "off", meaning, f"set {name} = on in postgresql.conf")
    if status.synchronous_commit == "off":
        remedy = "nothing for Stagebook; set it to on for the other programs of this server"
        meaning = "a connection of Stagebook waits for the disk all the same"
        yield _finding("synchronous_commit", Severity.NOTE, "off", meaning, remedy)
    elif "off" not in values.values():
        yield _finding("durability", Severity.OK, f"fsync = on, synchronous_commit = {status.synchronous_commit}")


def _judge_standbys(status: DatabaseStatus) -> Finding:
    names, connected = status.synchronous_standby_names, len(status.standbys)
    if names:
        found = f"synchronous_standby_names = {names}; {connected} connected"
        if connected:
            return _finding("standbys", Severity.OK, found)
        remedy = "start the standby; or remove it from synchronous_standby_names, and events have one copy"
        return _finding("standbys", Severity.ERROR, found, "no commit ends, so nobody can join", remedy)
    if connected:
        remedy = "set synchronous_standby_names (docs/scaling.md)"
        return _finding(
            "standbys",
            Severity.WARNING,
            f"{connected} connected, and none is synchronous",
            "a failover can lose events that were acknowledged",
            remedy,
        )
    remedy = "add a synchronous standby (docs/scaling.md), or keep backups that are new enough for you"
    return _finding("standbys", Severity.NOTE, "none", "the book is on one machine", remedy)


def _judge_connections(status: DatabaseStatus) -> Finding:
    found = f"{status.connections} of {status.max_connections} are in use"
    if status.connections < FULL_SHARE * status.max_connections:
        return _finding("connections", Severity.OK, found)
    meaning = "a node that starts may be refused, and waits for a connection"
    remedy = "raise max_connections (docs/scaling.md says how many a node opens)"
    return _finding("connections", Severity.WARNING, found, meaning, remedy)


def _judge_clock(offset_ms: int) -> Finding:
    direction = "ahead of" if offset_ms > 0 else "behind"
    found = f"this machine is {abs(offset_ms) / 1_000:.2f} s {direction} the database"
    remedy = "let a time service adjust the clocks of all machines"
    if abs(offset_ms) >= CLOCK_LIMIT_MS:
        meaning = "nodes refuse the requests of each other"
        return _finding("clock", Severity.ERROR, found, meaning, remedy)
    if abs(offset_ms) >= CLOCK_NOTICE_MS:
        meaning = "the times of events jump when another node takes an account"
        return _finding("clock", Severity.WARNING, found, meaning, remedy)
    return _finding("clock", Severity.OK, found)


def _finding(subject: str, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=subject, severity=severity, found=found, meaning=meaning, remedy=remedy)
