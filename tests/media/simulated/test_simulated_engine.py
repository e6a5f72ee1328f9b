"""The engine of peers without media: which connections are open, and the facts that are reported."""

import asyncio

import pytest

from stagebook.media.port import (
    CloseCause,
    Closed,
    Connected,
    IngestAsked,
    IngestFailed,
    IngestFault,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
    SourceMeasured,
)
from stagebook.media.simulated.simulated_engine import EncoderRefusedError, Measured, SimulatedEngine
from stagebook.media.simulated.simulated_offer import SimulatedOffer


class ListenedEngine(SimulatedEngine):
    """An engine, and the facts that it has reported."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: list[MediaFact] = []
        self.listen(self.facts.append)

    def publisher(self, connection_id: str = "p", source_id: str = "s") -> str:
        self.publish(connection_id=connection_id, source_id=source_id, offer=SimulatedOffer.MEDIA)
        return connection_id


@pytest.fixture
def engine() -> ListenedEngine:
    return ListenedEngine()


def test_a_connection_is_open_from_its_answer_to_its_close(engine: ListenedEngine) -> None:
    engine.publisher()
    assert engine.has("p")
    assert engine.publishes("s")
    engine.close(connection_id="p")
    assert not engine.has("p")
    assert not engine.publishes("s")
    assert engine.facts == []  # nobody has to be told what was asked for


def test_a_source_ends_with_its_publisher_and_viewers(engine: ListenedEngine) -> None:
    engine.publisher()
    engine.subscribe(connection_id="v", source_id="s", offer=SimulatedOffer.MEDIA)
    engine.subscribe(connection_id="other", source_id="t", offer=SimulatedOffer.MEDIA)
    engine.end_source(source_id="s")
    assert [engine.has(each) for each in ("p", "v", "other")] == [False, False, True]
    assert len(engine) == 1


def test_a_viewer_does_not_make_its_source_a_simulated_one(engine: ListenedEngine) -> None:
    engine.subscribe(connection_id="v", source_id="s", offer=SimulatedOffer.MEDIA)
    assert not engine.publishes("s")


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        (SimulatedOffer.UNKNOWN_AUDIO_CODEC, RefusalReason.AUDIO_CODEC),
        (SimulatedOffer.UNKNOWN_VIDEO_CODEC, RefusalReason.VIDEO_CODEC),
        (SimulatedOffer.LOST_ENGINE, RefusalReason.ENGINE_LOST),
    ],
)
def test_an_offer_can_be_refused(engine: ListenedEngine, offer: SimulatedOffer, reason: RefusalReason) -> None:
    with pytest.raises(MediaRefusedError) as caught:
        engine.publish(connection_id="p", source_id="s", offer=offer)
    assert caught.value.reason is reason
    assert not engine.has("p")


def test_what_a_peer_does_is_reported(engine: ListenedEngine) -> None:
    engine.publisher()
    assert engine.connect("p")
    assert engine.measure("p", Measured(bitrate_bps=9, width=8, height=7, has_b_frames=True))
    assert engine.lose("p", CloseCause.CONSENT_LOST)
    assert engine.facts == [
        Connected(connection_id="p"),
        SourceMeasured(source_id="s", connection_id="p", bitrate_bps=9, width=8, height=7, has_b_frames=True),
        Closed(connection_id="p", cause=CloseCause.CONSENT_LOST),
    ]


def test_nothing_is_reported_of_a_connection_that_has_ended(engine: ListenedEngine) -> None:
    engine.close(connection_id=engine.publisher())
    assert not engine.connect("p")
    assert not engine.measure("p", Measured())
    assert not engine.lose("p", CloseCause.PEER_CLOSED)
    assert not engine.break_stream("p", IngestFault.INPUT)
    assert engine.facts == []


async def test_an_encoder_waits_for_its_admission(engine: ListenedEngine) -> None:
    asking = asyncio.create_task(engine.ask("key", is_secure=True))
    await asyncio.sleep(0)
    (asked,) = engine.facts
    assert isinstance(asked, IngestAsked)
    assert (asked.stream_key, asked.is_secure, engine.has_asked(asked.ask_id)) == ("key", True, True)
    engine.ingest(ask_id=asked.ask_id, connection_id="e", source_id="s")
    assert await asking == "e"
    assert engine.break_stream("e", IngestFault.INPUT)
    assert isinstance(engine.facts[-1], IngestFailed)
    assert (engine.has_asked(asked.ask_id), len(engine)) == (False, 0)


async def test_an_encoder_is_told_why_it_is_refused(engine: ListenedEngine) -> None:
    asking = asyncio.create_task(engine.ask("key", is_secure=True))
    await asyncio.sleep(0)
    engine.refuse_ingest(ask_id="simulated-1", detail="INVALID_STREAM_KEY: no")
    with pytest.raises(EncoderRefusedError, match="INVALID_STREAM_KEY: no"):
        await asking


async def test_an_encoder_that_has_gone_cannot_be_admitted(engine: ListenedEngine) -> None:
    asking = asyncio.create_task(engine.ask("key", is_secure=True))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    with pytest.raises(MediaRefusedError) as caught:
        engine.ingest(ask_id="simulated-1", connection_id="e", source_id="s")
    assert caught.value.reason is RefusalReason.UNKNOWN_CONNECTION
    assert not engine.has("e")
