"""Deletes what is old in a book, step by step. Run as a program: `deleter.py BOOK`.

After each step it prints a line, and goes on when it has read one.
"""

import asyncio
import sys
from pathlib import Path

from tests.book.retained import LATER_MS, policy
from tests.book.sample import open_book


async def main(path: Path) -> None:
    """Make one run."""
    book = open_book(path)
    async for _ in book.delete_old(policy(), now_ms=LATER_MS):
        sys.stdout.write("step\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
    await book.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
