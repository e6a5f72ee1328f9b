"""Which engine gets what: real offers and encoders the real one, simulated ones the simulated one."""

import asyncio

import pytest

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    CloseCause,
    Closed,
    Connected,
    LayerChoice,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
    VideoLayers,
)
from stagebook.media.simulated.mixed_media import MixedMedia
from stagebook.media.simulated.silent_feeds import SilentFeeds
from stagebook.media.simulated.simulated_engine import SimulatedEngine
from stagebook.media.simulated.simulated_offer import SimulatedOffer
from tests.manager.scripted_engine import ScriptedEngine


class RefusingFeeds:
    """An engine pool that opens no feed, and the sources that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        self.asked.append(source_id)
        assert (connection_id, is_redundant) == (f"{source_id}/silent", True)
        raise MediaRefusedError(reason=RefusalReason.BUSY, detail="no")

    def end_source(self, *, source_id: str) -> None:
        self.asked.append(f"end of {source_id}")


class Mixed:
    """The three engines, and the facts that they have reported."""

    def __init__(self) -> None:
        self.real, self.simulated, self.pool = ScriptedEngine(), SimulatedEngine(), RefusingFeeds()
        self.media = MixedMedia(self.real, self.simulated, SilentFeeds(self.pool))
        self.facts: list[MediaFact] = []
        self.media.listen(self.facts.append)

    async def publish(self, connection_id: str, source_id: str, offer: str = SimulatedOffer.MEDIA) -> None:
        await self.media.publish(connection_id=connection_id, source_id=source_id, offer=offer)


@pytest.fixture
def mixed() -> Mixed:
    return Mixed()


async def test_the_kind_of_an_offer_decides_and_not_its_text(mixed: Mixed) -> None:
    await mixed.publish("p", "s")
    await mixed.publish("r", "t", offer=SimulatedOffer.MEDIA.value)
    assert (mixed.simulated.has("p"), mixed.simulated.has("r")) == (True, False)
    assert mixed.real.connections == {"r": "t"}


async def test_facts_of_both_engines_are_reported(mixed: Mixed) -> None:
    await mixed.publish("p", "s")
    mixed.simulated.connect("p")
    mixed.real.connect("r")
    assert mixed.facts == [Connected(connection_id="p"), Connected(connection_id="r")]


async def test_a_simulated_viewer_watches_a_real_source_and_ends_with_it(mixed: Mixed) -> None:
    await mixed.publish("r", "t", offer="v=0")
    await mixed.media.subscribe(connection_id="v", source_id="t", offer=SimulatedOffer.MEDIA)
    assert mixed.simulated.has("v")
    await mixed.media.end_source(source_id="t")
    assert not mixed.simulated.has("v")
    assert mixed.real.ended_sources == ["t"]


async def test_a_real_viewer_of_a_simulated_source_needs_a_silent_feed(mixed: Mixed) -> None:
    await mixed.publish("p", "s")
    for _ in range(2):  # a feed that has failed is tried again
        with pytest.raises(MediaRefusedError):
            await mixed.media.subscribe(connection_id="v", source_id="s", offer="v=0")
    assert mixed.pool.asked == ["s", "s"]
    await mixed.media.subscribe(connection_id="v", source_id="real", offer="v=0")
    assert mixed.pool.asked == ["s", "s"]


async def test_a_connection_is_closed_where_it_is_open(mixed: Mixed) -> None:
    await mixed.publish("p", "s")
    await mixed.media.close(connection_id="p")
    await mixed.media.close(connection_id="r")
    assert not mixed.simulated.has("p")
    assert mixed.real.closed == ["r"]


async def test_encoders_are_admitted_and_refused_where_they_asked(mixed: Mixed) -> None:
    asking = asyncio.create_task(mixed.simulated.ask("key", is_secure=True))
    await asyncio.sleep(0)
    await mixed.media.ingest(ask_id="simulated-1", connection_id="e", source_id="s", is_redundant=False)
    await mixed.media.ingest(ask_id="ask-1", connection_id="f", source_id="t", is_redundant=False)
    await mixed.media.refuse_ingest(ask_id="ask-2", detail="no", is_wrong_key=False)
    assert await asking == "e"
    assert (mixed.real.admitted, mixed.real.refused) == ({"ask-1": "f"}, {"ask-2": "no"})


async def test_a_simulated_viewer_has_no_layers(mixed: Mixed) -> None:
    await mixed.media.subscribe(connection_id="v", source_id="s", offer=SimulatedOffer.MEDIA)
    assert await mixed.media.layers(connection_id="v") == VideoLayers()
    await mixed.media.select_layer(connection_id="v", choice=LayerChoice())
    with pytest.raises(MediaRefusedError) as caught:
        await mixed.media.select_layer(connection_id="v", choice=LayerChoice.exactly("h"))
    assert caught.value.reason is RefusalReason.UNKNOWN_LAYER
    assert (await mixed.media.patch(connection_id="v", fragment="x", ice_session=None)).fragment is None


async def test_the_end_of_a_real_connection_is_reported(mixed: Mixed) -> None:
    mixed.real.lose("r")
    assert mixed.facts == [Closed(connection_id="r", cause=CloseCause.CONSENT_LOST)]
