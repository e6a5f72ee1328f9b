"""The turns of a participant's offers.

The session refuses an offer of a participant that has two in progress (`stage/session/rules/quotas.py`). A viewer of a
stage with twelve publishers sends twelve offers at once, and public clients do not retry them. So the offers of one
participant wait here, in their order, until fewer than two are in progress. The wait is short while the engines
answer, since an offer takes some milliseconds. Both the number of waiting offers and their waiting time are bounded; an
offer above them is refused with 429.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stagebook.api.participants.request_limits import RequestLimits, too_many_requests
from stagebook.stage.claims import Claims
from stagebook.stage.session.rules.quotas import MAX_OFFERS_IN_PROGRESS


class _Queue:
    """The offers of one participant. `users` are those that wait and those that have their turn."""

    __slots__ = ("turns", "users")

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(MAX_OFFERS_IN_PROGRESS)
        self.users = 0


class OfferTurns:
    """Lets at most MAX_OFFERS_IN_PROGRESS offers of each participant pass at the same time."""

    def __init__(self, *, limits: RequestLimits) -> None:
        self._limits = limits
        self._queues: dict[tuple[str, str], _Queue] = {}

    @asynccontextmanager
    async def turn(self, claims: Claims) -> AsyncIterator[None]:
        """Wait for the turn of an offer, and keep it while the block runs.

        Raises RequestRefusedError 429 when `offers_waiting` offers of the participant wait already, or after
        `offer_wait_seconds`.
        """
        participant = (claims.stage_arn, claims.participant_id)
        queue = self._queues.setdefault(participant, _Queue())
        if queue.users >= MAX_OFFERS_IN_PROGRESS + self._limits.offers_waiting:
            raise too_many_requests(f"the participant has {queue.users} offers in progress already")
        queue.users += 1
        try:
            await self._wait(queue)
            try:
                yield
            finally:
                queue.turns.release()
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[participant]

    async def _wait(self, queue: _Queue) -> None:
        try:
            async with asyncio.timeout(self._limits.offer_wait_seconds):
                await queue.turns.acquire()
        except TimeoutError:
            raise too_many_requests(
                f"the participant has {MAX_OFFERS_IN_PROGRESS} offers in progress already; try again"
            ) from None
