"""A book with many events, written without its writer: for tests and measurements of copies."""

from pathlib import Path

from stagebook.book.sqlite.book_connection import open_for_writing
from stagebook.book.sqlite.open_events import SET_NOTED_SEQUENCE
from tests.book.sample import ACCOUNT, ARN, NOON_MS, SEAL

EVENTS_PER_PARTICIPANT = 20


def write_large_book(path: Path, *, events: int) -> None:
    """Write one ended session whose participants have EVENTS_PER_PARTICIPANT events each."""
    participants = range(1, events // EVENTS_PER_PARTICIPANT + 1)
    connection = open_for_writing(path, seal=SEAL)
    connection.execute("PRAGMA synchronous = OFF; BEGIN").fetchall()
    connection.execute("INSERT INTO stage VALUES (1, ?, ?, 'talk', 1, '{}', '{}', NULL)", (ARN, ACCOUNT)).fetchall()
    connection.execute("INSERT INTO session VALUES (1, 1, 'st-large', ?, ?)", (NOON_MS, NOON_MS + events)).fetchall()
    connection.executemany(
        'INSERT INTO participant VALUES (1, ?, ?, ?, 1, 1, ?, \'{"attributes":{"seat":"1"}}\', NULL, NULL, NULL)',
        ((number, f"participant{number}", f"user{number}", NOON_MS) for number in participants),
    )
    last = 0
    for place in range(EVENTS_PER_PARTICIPANT):
        base = ((NOON_MS + place * 1_000) << 20) + 1
        connection.executemany(
            "INSERT INTO event VALUES (1, ?, ?, ?, NULL, ?, 0, 1, NULL, NULL)",
            ((number, base + number, (0, 4, 5, 2)[place % 4], f"participant{number - 1}") for number in participants),
        )
        last = base + len(participants)
    connection.execute("UPDATE sequencer SET last_sequence = ?", (last,)).fetchall()
    connection.execute(SET_NOTED_SEQUENCE, (last,)).fetchall()
    connection.execute("COMMIT").fetchall()
    connection.close()
