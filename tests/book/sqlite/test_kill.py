"""The book after `kill -9` at random moments: acknowledged transactions are present, and every one is complete."""

import random
from pathlib import Path

import apsw

from tests.book.kill_checks import Acknowledged, append_until_killed, check_book
from tests.book.sample import open_book

ROUNDS = 6
SEED = 20230426


async def test_kill_9_loses_splits_and_duplicates_no_transaction(tmp_path: Path) -> None:
    path = tmp_path / "book"
    moments = random.Random(SEED)
    acknowledged: list[Acknowledged] = []
    for round_number in range(ROUNDS):
        acknowledged += append_until_killed(path, f"round{round_number}", moments.randrange(1, 400))
        book = open_book(path)
        check_book(book, acknowledged)
        await book.close()
        _check_integrity(path)


def _check_integrity(path: Path) -> None:
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
