"""The book after `kill -9` at random moments of a deletion: each session is whole or gone, and the next run goes on."""

import random
import subprocess
import sys
from pathlib import Path

import apsw

from stagebook.book.book_values import ParticipantFilter
from stagebook.book.sqlite.sqlite_book import SqliteBook
from tests.book.retained import delete_old
from tests.book.sample import ARN, append, commit, end_session, open_book, open_session, put, put_stage

SEED = 20230426
ROUNDS = 5
SESSIONS = 120
PARTICIPANTS = ("p", "q", "r")
EVENTS = 40
"""Of each participant: a session has more rows than a step deletes."""
REPOSITORY = Path(__file__).parents[4]


def session_id(number: int) -> str:
    return f"st-{number:03d}"


async def fill(path: Path) -> None:
    book = open_book(path)
    await commit(book, put_stage())
    for number in range(SESSIONS):
        where = session_id(number)
        events = [append(each, session_id=where) for each in PARTICIPANTS for _ in range(EVENTS)]
        people = [put(each, session_id=where) for each in PARTICIPANTS]
        await commit(book, open_session(where), *people, *events, end_session(where))
    await commit(book, open_session("st-open"), put("p", session_id="st-open"), append("p", session_id="st-open"))
    await book.close()


def delete_until_killed(path: Path, steps: int) -> None:
    """Run a child that deletes, and kill it after some steps, when it has just been told to make a further one."""
    command = [sys.executable, "-m", "tests.book.sqlite.deleter", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=REPOSITORY) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for _ in range(steps):
            child.stdout.readline()
            child.stdin.write(b"\n")
        child.kill()
    assert child.returncode == -9


def count_whole_sessions(book: SqliteBook) -> int:
    """Return how many of the ended sessions are there. Each is there with all of its rows, or nothing of it is."""
    whole = 0
    for number in range(SESSIONS):
        where = (ARN, session_id(number))
        is_there = book.get_session(*where) is not None
        people = book.list_participants(*where, where=ParticipantFilter(), after=None, limit=9).items
        events = [len(book.list_events(*where, each)) for each in PARTICIPANTS]
        assert len(people) == (len(PARTICIPANTS) if is_there else 0)
        assert events == [EVENTS if is_there else 0] * len(PARTICIPANTS)
        whole += is_there
    return whole


async def test_kill_9_during_a_deletion_leaves_whole_sessions_and_nothing_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "book"
    await fill(path)
    moments = random.Random(SEED)
    counts = [SESSIONS]
    for _ in range(ROUNDS):
        delete_until_killed(path, moments.randrange(2, 40))
        book = open_book(path)
        counts.append(count_whole_sessions(book))
        await book.close()
    assert sorted(counts, reverse=True) == counts
    assert 0 < counts[-1] < SESSIONS

    book = open_book(path)
    await delete_old(book)
    assert count_whole_sessions(book) == 0
    assert len(book.list_events(ARN, "st-open", "p")) == 1
    await book.close()

    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    counted = "SELECT (SELECT count(*) FROM session), (SELECT count(*) FROM participant), (SELECT count(*) FROM event)"
    assert connection.execute(counted).fetchall() == [(1, 1, 1)]
    assert connection.execute("SELECT * FROM expired_session").fetchall() == []
    assert connection.execute("SELECT count(*) FROM open_event").fetchall() == [(1,)]
    connection.close()
