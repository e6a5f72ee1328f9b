"""The SDP offers that come over shared websockets, and those of one websocket that are in progress.

An offer waits for a media engine, and for its turn among those of the participant. So each has a task of its own, and
the websocket goes on. The number of these tasks has a limit. An offer of a stage that the client leaves is cancelled,
which closes its connection.
"""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from stagebook.api.participants.client_info import client_info
from stagebook.api.participants.participant_joins import JoinRequest
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.problem_responses import Problem, RequestRefusalCode, RequestRefusedError
from stagebook.api.participants.realtime.offer_messages import SdpOffer, sdp_answer, sdp_refusal
from stagebook.api.participants.request_limits import AttemptRateLimiter, RequestLimits, too_many_requests
from stagebook.api.participants.whip.offer_turns import OfferTurns
from stagebook.manager.participants.offer_negotiation import Opened


class OfferExchange:
    """Answers offers for all shared websockets of one stage manager. `problem_of` is the response to an exception."""

    def __init__(
        self,
        manager: ParticipantManager,
        *,
        attempts: AttemptRateLimiter,
        turns: OfferTurns,
        problem_of: Callable[[Exception], Problem],
    ) -> None:
        self._manager = manager
        self._attempts = attempts
        self._turns = turns
        self._problem_of = problem_of

    async def answer(self, request: JoinRequest, offer: SdpOffer) -> str:
        """Return the answer to an offer of a participant that has joined with `request`, also if it is refused."""
        try:
            self._attempts.require(request.claims)
            async with self._turns.turn(request.claims):
                opened = await self._open(request, offer)
        except Exception as error:  # noqa: BLE001 - it becomes an answer; the other stages go on
            return sdp_refusal(offer.ids, self._problem_of(error))
        location = f"{self._manager.endpoints.whip}/resource/{opened.connection_id}"
        return sdp_answer(offer.ids, sdp=opened.answer.sdp, location=location)

    async def _open(self, request: JoinRequest, offer: SdpOffer) -> Opened:
        claims = request.claims
        client = replace(request.client, sdk_version=client_info(None, sdk_version=offer.sdk_version).sdk_version)
        if not offer.is_publishing:
            return await self._manager.subscribe(
                claims,
                publisher_id=offer.participant_id,
                offer=offer.sdp,
                client=client,
                initial_layer=offer.initial_layer,
            )
        if offer.participant_id != claims.participant_id:
            raise RequestRefusedError(
                status=403,
                code=RequestRefusalCode.PARTICIPANT_MISMATCH,
                message="the URL names another participant than the token",
            )
        return await self._manager.publish(claims, offer=offer.sdp, client=client)


class SharedOffers:
    """The offers of one websocket that are in progress."""

    __slots__ = ("_exchange", "_limit", "_tasks")

    def __init__(self, exchange: OfferExchange, *, limits: RequestLimits) -> None:
        self._exchange = exchange
        self._limit = limits.shared_offers_in_progress
        self._tasks: dict[asyncio.Task[None], str] = {}

    def start(self, logical_id: str, request: JoinRequest, offer: SdpOffer, send: Callable[[str, str], None]) -> None:
        """Answer an offer later. Above the limit it is refused at once. `send` takes the logical id and the answer."""
        if len(self._tasks) >= self._limit:
            problem = too_many_requests(f"the websocket has {self._limit} offers in progress").problem
            send(logical_id, sdp_refusal(offer.ids, problem))
            return
        task = asyncio.get_running_loop().create_task(self._answer(logical_id, request, offer, send))
        self._tasks[task] = logical_id
        task.add_done_callback(self._tasks.pop)

    async def _answer(
        self, logical_id: str, request: JoinRequest, offer: SdpOffer, send: Callable[[str, str], None]
    ) -> None:
        send(logical_id, await self._exchange.answer(request, offer))

    async def cancel(self, logical_id: str | None = None) -> None:
        """Cancel the offers of a stage, or of all stages, and wait for their ends."""
        tasks = [task for task, owner in self._tasks.items() if logical_id in (None, owner)]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
