"""The turns of offers: two at a time for each participant, in order, within bounds, and nothing left behind."""

import asyncio
from collections.abc import Awaitable

import httpx
import pytest

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.problem_responses import RequestRefusedError
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.participants.whip.offer_turns import OfferTurns
from stagebook.stage.claims import Claims
from stagebook.stage.session.rules.quotas import MAX_OFFERS_IN_PROGRESS
from tests.api.participants.fake_manager import TOKEN, FakeManager

OFFER = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/sdp"}


class Subscriptions:
    """Offers of one participant to an API whose manager does not answer until `gate` is set."""

    def __init__(self, limits: RequestLimits) -> None:
        self.manager = FakeManager()
        self.gate = self.manager.offer_gate = asyncio.Event()
        self.api = ParticipantsApi(self.manager, limits=limits, monotonic=lambda: 0.0)

    async def send(self, count: int, *, release: Awaitable[None] | None = None) -> list[int]:
        arrived = 0

        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal arrived
            arrived += 1
            await self.api(scope, receive, send)

        transport = httpx.ASGITransport(noted)
        async with httpx.AsyncClient(transport=transport, base_url="http://stagebook") as client:
            offers = [
                asyncio.ensure_future(client.post(f"/whip/subscribe/p{number}", content="v=0", headers=OFFER))
                for number in range(count)
            ]
            while arrived < count:  # noqa: ASYNC110 - nothing notifies of it
                await asyncio.sleep(0)
            for _ in range(
                100
            ):  # more turns of the loop than an offer takes from its arrival to its place in the queue
                await asyncio.sleep(0)
            if release is None:
                self.gate.set()
            else:
                await release
                self.gate.set()
            return [response.status_code for response in await asyncio.gather(*offers)]


async def test_a_viewer_of_a_full_stage_subscribes_to_everybody_at_once_and_two_offers_are_in_progress() -> None:
    subscriptions = Subscriptions(RequestLimits())
    assert await subscriptions.send(50) == [201] * 50
    assert subscriptions.manager.most_offers_in_progress == MAX_OFFERS_IN_PROGRESS
    watched = [call[2] for call in subscriptions.manager.calls]
    assert watched == [f"p{number}" for number in range(50)]


async def test_the_offers_that_wait_are_bounded() -> None:
    subscriptions = Subscriptions(RequestLimits(offers_waiting=3))
    statuses = await subscriptions.send(8)
    assert sorted(statuses) == [201] * (MAX_OFFERS_IN_PROGRESS + 3) + [429] * 3


async def test_an_offer_does_not_wait_for_ever() -> None:
    subscriptions = Subscriptions(RequestLimits(offer_wait_seconds=0.05))
    statuses = await subscriptions.send(3, release=asyncio.sleep(0.3))
    assert statuses == [201, 201, 429]
    assert len(subscriptions.manager.calls) == MAX_OFFERS_IN_PROGRESS


def claims(participant_id: str, stage: str = "s") -> Claims:
    return Claims(participant_id=participant_id, stage_arn=stage, capabilities=frozenset(), expires_at_seconds=1)


@pytest.fixture
def turns() -> OfferTurns:
    return OfferTurns(limits=RequestLimits(offers_waiting=0))


async def hold(turns: OfferTurns, owner: Claims, until: asyncio.Event) -> None:
    async with turns.turn(owner):
        await until.wait()


async def test_participants_do_not_wait_for_each_other(turns: OfferTurns) -> None:
    done = asyncio.Event()
    holding = [asyncio.create_task(hold(turns, claims("A"), done)) for _ in range(MAX_OFFERS_IN_PROGRESS)]
    await asyncio.sleep(0)
    async with turns.turn(claims("B")), turns.turn(claims("A", stage="other")):
        with pytest.raises(RequestRefusedError):
            async with turns.turn(claims("A")):
                pass
    done.set()
    await asyncio.gather(*holding)
    assert turns._queues == {}


async def test_offers_that_fail_or_are_given_up_pass_their_turn_on() -> None:
    turns = OfferTurns(limits=RequestLimits())
    never = asyncio.Event()
    holding = [asyncio.create_task(hold(turns, claims("A"), never)) for _ in range(5)]
    await asyncio.sleep(0)
    for offer in (holding[4], holding[0], holding[1]):  # one that waits, and two that have their turn
        offer.cancel()
    await asyncio.sleep(0.01)
    for offer in holding:
        offer.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    with pytest.raises(ValueError, match="malformed"):
        async with turns.turn(claims("A")):
            raise ValueError("malformed")
    assert turns._queues == {}
