"""A policy of retention for tests, and a run of it."""

from collections import Counter

from stagebook.book.retention_policy import DAY_MS, RetentionPolicy
from stagebook.book.store import Book
from tests.book.sample import NOON_MS

AGE_DAYS = 30
PARTICIPANT_TOKEN_DAYS = 15
CONNECTION_TOKEN_DAYS = 40
LATER_MS = NOON_MS + 100 * DAY_MS
"""A time at which everything of the samples is old."""


def policy(default_days: int = AGE_DAYS, **overrides: dict[str, int]) -> RetentionPolicy:
    """Return a policy with an age for everything, and overrides."""
    return RetentionPolicy(
        default_days=default_days,
        participant_token_ms=PARTICIPANT_TOKEN_DAYS * DAY_MS,
        connection_token_ms=CONNECTION_TOKEN_DAYS * DAY_MS,
        **overrides,
    )


async def delete_old(book: Book, *, by: RetentionPolicy | None = None, now_ms: int = LATER_MS) -> Counter[str]:
    """Make a complete run; return the number of deleted rows by table, without those that had none."""
    deleted: Counter[str] = Counter()
    async for step in book.delete_old(by or policy(), now_ms=now_ms):
        deleted.update(step.rows)
    return +deleted
