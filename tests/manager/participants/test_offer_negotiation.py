"""One offer, from the request to the answer: the engine's answers, refusals, and clients that leave."""

import asyncio

import pytest

from stagebook.manager.participants.offer_negotiation import REFUSAL_CODES, OfferNegotiation, Opened
from stagebook.media.port import Answer, MediaRefusedError, RefusalReason
from stagebook.stage.errors import (
    AttemptRefusedError,
    OfferMalformedError,
    ServerBusyError,
    StagebookError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import Cause
from stagebook.stage.resources import Stage
from stagebook.stage.session.session_facts import (
    ConnectionEnded,
    ParticipantsDisconnected,
    PublishRequested,
    SessionClosed,
    SessionFact,
    SubscribeRequested,
)
from tests.manager.session.held_book import HeldUnit
from tests.stage.session.decided_session import ACCOUNT, STAGE, publish, subscribe

HERE = Stage(arn=STAGE, account_id=ACCOUNT, name="here", created_ms=0)
ANSWER = Answer(sdp="answer", ice_session="ice")


class Negotiating:
    """A negotiation whose engine answers when a test says so. `asked` are the sources that it was asked for."""

    def __init__(self) -> None:
        self.held = HeldUnit()
        self.negotiation = OfferNegotiation(unit=self.held.unit, media=self.held.engine)
        self.asked: list[str] = []
        self.answers: list[asyncio.Future[Answer]] = []

    async def ask(self, source_id: str) -> Answer:
        self.asked.append(source_id)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    async def start(self, request: PublishRequested | SubscribeRequested | None = None) -> "asyncio.Task[Opened]":
        """Start an offer and let it reach the engine."""
        task = asyncio.create_task(self.negotiation.open(HERE, request or publish("P", "one"), self.ask))
        await asyncio.sleep(0)
        return task

    def answer(self, result: Answer | Exception = ANSWER) -> None:
        """Let the engine answer the newest offer, or refuse it."""
        if isinstance(result, Exception):
            self.answers[-1].set_exception(result)
        else:
            self.answers[-1].set_result(result)

    def decide(self, fact: SessionFact) -> None:
        """Let something else happen to the session meanwhile."""
        transaction = self.held.unit.begin()
        transaction.apply(self.held.unit.registry.sessions[STAGE], fact)
        transaction.commit()

    async def release(self) -> None:
        """Make everything durable that is submitted or follows from it."""
        for _ in range(4):
            await asyncio.sleep(0)
            await self.held.book.release(len(self.held.book._waiting))

    async def error_of(self, offer: "asyncio.Task[Opened]") -> StagebookError:
        await self.release()
        with pytest.raises(StagebookError) as raised:
            await offer
        return raised.value

    async def nothing_is_left(self) -> None:
        await self.held.dispatcher.settled()
        registry = self.held.unit.registry
        assert registry.routes == {}
        assert registry.cancelled == {}
        assert not self.held.dispatcher._held
        assert all(not len(session.participants) for session in registry.sessions.values())


@pytest.fixture
def negotiating() -> Negotiating:
    return Negotiating()


async def test_the_answer_is_given_when_the_join_is_durable(negotiating: Negotiating) -> None:
    offer = await negotiating.start()
    assert negotiating.asked == ["source-one"]
    assert negotiating.held.book.transactions == []

    negotiating.answer()
    await asyncio.sleep(0.001)
    assert not offer.done()

    await negotiating.release()
    assert await offer == Opened(connection_id="one", answer=ANSWER)


async def test_a_refusal_by_the_session_is_raised_when_its_event_is_durable(negotiating: Negotiating) -> None:
    offer = await negotiating.start(subscribe("V", "one", "nobody"))
    await asyncio.sleep(0.001)
    assert not offer.done()

    assert isinstance(await negotiating.error_of(offer), AttemptRefusedError)
    assert negotiating.asked == []
    await negotiating.nothing_is_left()


@pytest.mark.parametrize("reason", sorted(REFUSAL_CODES))
async def test_a_refusal_by_the_engine_that_is_an_event_is_recorded(
    negotiating: Negotiating, reason: RefusalReason
) -> None:
    offer = await negotiating.start()

    negotiating.answer(MediaRefusedError(reason=reason, detail="scripted"))
    error = await negotiating.error_of(offer)

    assert isinstance(error, AttemptRefusedError)
    assert (error.code, str(error)) == (REFUSAL_CODES[reason], "scripted")
    assert len(negotiating.held.book.transactions) == 1
    await negotiating.nothing_is_left()
    assert negotiating.held.engine.ended_sources == ["source-one"]


@pytest.mark.parametrize("reason", [reason for reason in RefusalReason if reason not in REFUSAL_CODES])
async def test_other_refusals_by_the_engine_are_no_event(negotiating: Negotiating, reason: RefusalReason) -> None:
    offer = await negotiating.start()

    negotiating.answer(MediaRefusedError(reason=reason, detail="scripted"))
    error = await negotiating.error_of(offer)

    assert type(error) is (ServerBusyError if reason is RefusalReason.BUSY else OfferMalformedError)
    assert negotiating.held.book.transactions == []
    await negotiating.nothing_is_left()


async def test_a_client_that_leaves_closes_what_the_engine_may_have_opened(negotiating: Negotiating) -> None:
    offer = await negotiating.start()

    offer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offer

    assert negotiating.held.engine.closed == ["one"]
    assert negotiating.held.book.transactions == []
    await negotiating.nothing_is_left()


async def test_an_engine_call_that_breaks_is_raised_and_cleaned_up(negotiating: Negotiating) -> None:
    offer = await negotiating.start()

    negotiating.answer(OSError("the pipe is broken"))

    with pytest.raises(OSError, match="the pipe is broken"):
        await offer
    assert negotiating.held.engine.closed == ["one"]
    await negotiating.nothing_is_left()


@pytest.mark.parametrize(
    ("fact", "refusal"),
    [
        (SessionClosed(cause=Cause.STAGE_DELETED), TokenRefusal.STAGE_DELETED),
        (
            ParticipantsDisconnected(participant_ids=("P",), cause=Cause.DISCONNECTED_BY_API),
            TokenRefusal.PARTICIPANT_DISCONNECTED,
        ),
    ],
    ids=["stage deleted", "disconnected"],
)
@pytest.mark.parametrize(
    "answer", [ANSWER, MediaRefusedError(reason=RefusalReason.VIDEO_CODEC, detail="")], ids=["answered", "refused"]
)
async def test_an_offer_that_was_cancelled_gets_the_cause_whatever_the_engine_answers(
    negotiating: Negotiating, fact: SessionFact, refusal: TokenRefusal, answer: Answer | Exception
) -> None:
    offer = await negotiating.start()
    negotiating.decide(fact)

    negotiating.answer(answer)
    error = await negotiating.error_of(offer)

    assert isinstance(error, TokenRefusedError)
    assert error.refusal is refusal
    assert negotiating.held.engine.closed == (["one"] if isinstance(answer, Answer) else [])
    assert negotiating.held.engine.ended_sources == ["source-one"]
    assert negotiating.held.book.transactions == []
    await negotiating.nothing_is_left()


async def test_an_offer_whose_stage_was_deleted_and_whose_client_leaves_is_cleaned_up(
    negotiating: Negotiating,
) -> None:
    offer = await negotiating.start()
    negotiating.decide(SessionClosed(cause=Cause.STAGE_DELETED))

    offer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offer

    assert negotiating.held.engine.closed == ["one"]
    await negotiating.nothing_is_left()


async def test_a_connection_that_is_lost_before_its_answer_is_closed(negotiating: Negotiating) -> None:
    offer = await negotiating.start()
    negotiating.decide(ConnectionEnded(participant_id="P", connection_id="one", cause=Cause.PEER_LOST))

    negotiating.answer()

    assert isinstance(await negotiating.error_of(offer), ServerBusyError)
    await negotiating.nothing_is_left()
    assert negotiating.held.engine.closed == ["one"]


async def test_the_end_of_the_source_waits_until_the_engine_has_answered(negotiating: Negotiating) -> None:
    offer = await negotiating.start()
    negotiating.decide(SessionClosed(cause=Cause.STAGE_DELETED))
    await negotiating.held.dispatcher.settled()
    assert negotiating.held.engine.ended_sources == []

    negotiating.answer()
    await negotiating.error_of(offer)
    await negotiating.held.dispatcher.settled()

    assert negotiating.held.engine.ended_sources == ["source-one"]


async def test_two_offers_of_one_publisher_are_answered_in_either_order(negotiating: Negotiating) -> None:
    first = await negotiating.start(publish("P", "one"))
    second = await negotiating.start(publish("P", "two"))
    assert negotiating.asked == ["source-one", "source-one"]

    negotiating.answers[1].set_result(ANSWER)
    negotiating.answers[0].set_result(ANSWER)
    await negotiating.release()

    assert [(await first).connection_id, (await second).connection_id] == ["one", "two"]
    participant = negotiating.held.unit.registry.sessions[STAGE].participants["P"]
    assert list(participant.machine.connections) == ["two", "one"]
