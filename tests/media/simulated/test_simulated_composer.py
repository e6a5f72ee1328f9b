"""Compositions without media: what is reported, and what is written; and when one becomes real."""

from typing import Any

import pytest

from stagebook.media.composition.composition_port import (
    BucketOutput,
    CanvasSettings,
    ChannelOutput,
    ComposedParticipant,
    CompositionFact,
    CompositionLost,
    CompositionRequest,
    OutputEnded,
    OutputFailed,
    OutputFault,
    OutputReconnecting,
    OutputStarted,
)
from stagebook.media.composition.layout.layout_settings import GridLayout
from stagebook.media.simulated.mixed_composer import MixedComposer
from stagebook.media.simulated.simulated_composer import SimulatedComposer
from stagebook.storage.object_store import StorageFault
from tests.media.simulated.test_simulated_recorder import STAGE_ARN, Bucket

PREFIX = "abcdABCDefgh/c/d/composite"
CANVAS = CanvasSettings(width=1280, height=720, frames_per_second=30, bitrate_bps=2_500_000)
REQUEST = CompositionRequest(
    composition_id="c",
    composition_arn=STAGE_ARN.replace("stage/", "composition/"),
    stage_arn=STAGE_ARN,
    started_ms=1_700_000_000_000,
    layout=GridLayout(),
    outputs=(
        BucketOutput(destination_id="d", bucket_name="shows", prefix=PREFIX, canvas=CANVAS),
        ChannelOutput(destination_id="e", url="rtmp://127.0.0.1/app/key", canvas=CANVAS),
    ),
)


class Composing:
    """A composer with a clock that the test moves, and what it has reported."""

    def __init__(self) -> None:
        self.now_ms = REQUEST.started_ms
        self.bucket = Bucket()
        self.composer = SimulatedComposer(store=self.bucket, now_ms=lambda: self.now_ms)
        self.facts: list[CompositionFact] = []
        self.composer.listen(self.facts.append)

    def written(self, name: str) -> Any:  # noqa: ANN401 - JSON
        return self.bucket.objects[f"shows/{PREFIX}/events/recording-{name}.json"]


@pytest.fixture
def composing() -> Composing:
    return Composing()


def started(destination_id: str) -> OutputStarted:
    return OutputStarted(composition_id="c", destination_id=destination_id)


def ended(destination_id: str) -> OutputEnded:
    return OutputEnded(composition_id="c", destination_id=destination_id)


def failed(destination_id: str, fault: OutputFault) -> OutputFailed:
    return OutputFailed(composition_id="c", destination_id=destination_id, fault=fault)


async def test_destinations_start_and_end_and_the_bucket_has_the_metadata(composing: Composing) -> None:
    composing.composer.start_composition(REQUEST)
    composing.now_ms += 60_000
    composing.composer.end_composition("c")
    assert await composing.composer.settled()
    assert composing.facts == [started("d"), started("e"), ended("d"), ended("e")]
    assert composing.written("ended")["media"]["hls"]["duration_ms"] == 60_000
    (rendition,) = composing.written("started")["media"]["hls"]["renditions"]
    assert (rendition["path"], rendition["resolution_height"]) == ("720p30-d", 720)
    assert not composing.composer.has("c")


@pytest.mark.parametrize("fault", OutputFault)
async def test_a_destination_fails_as_a_test_asks(composing: Composing, fault: OutputFault) -> None:
    composing.composer.start_composition(REQUEST)
    composing.composer.fail("c", "d", fault)
    composing.composer.end_composition("c")
    await composing.composer.settled()
    assert composing.facts[2:] == [failed("d", fault), ended("e")]


async def test_a_destination_is_tried_again(composing: Composing) -> None:
    composing.composer.start_composition(REQUEST)
    composing.composer.reconnect("c", "e")
    composing.composer.recover("c", "e")
    await composing.composer.settled()
    assert composing.facts[2:] == [OutputReconnecting(composition_id="c", destination_id="e"), started("e")]


async def test_a_lost_composition_reports_nothing_more(composing: Composing) -> None:
    composing.composer.start_composition(REQUEST)
    composing.composer.lose("c")
    composing.composer.end_composition("c")
    await composing.composer.settled()
    assert composing.facts[2:] == [CompositionLost(composition_id="c")]


async def test_what_the_store_refuses_is_a_failure(composing: Composing) -> None:
    composing.bucket.fault = StorageFault.ACCESS_DENIED
    composing.composer.start_composition(REQUEST)
    composing.composer.end_composition("c")
    await composing.composer.settled()
    assert composing.facts == [failed("d", OutputFault.ACCESS_DENIED), started("e"), ended("e")]


class RealComposer(SimulatedComposer):
    """Stands for the real engine, and notes whom it was shown."""

    def __init__(self) -> None:
        super().__init__(store=Bucket(), now_ms=lambda: REQUEST.started_ms)
        self.shown: list[tuple[str, ...]] = []

    def show_participants(self, composition_id: str, participants: tuple[ComposedParticipant, ...]) -> None:
        """Note their ids."""
        assert composition_id == "c"
        self.shown.append(tuple(each.participant_id for each in participants))


async def test_a_composition_becomes_real_with_the_first_publisher_that_has_media(composing: Composing) -> None:
    real, simulated = RealComposer(), composing.composer
    mixed = MixedComposer(real, simulated, is_simulated=lambda source_id: source_id == "silent")
    mixed.listen(composing.facts.append)
    silent = ComposedParticipant(participant_id="ann", source_id="silent")
    camera = ComposedParticipant(participant_id="bob", source_id="camera")
    mixed.start_composition(REQUEST)
    mixed.show_participants("c", (silent,))
    await simulated.settled()
    assert (composing.facts, real.shown) == ([started("d"), started("e")], [])
    mixed.show_participants("c", (silent, camera))
    await real.settled()
    assert not simulated.has("c")
    mixed.show_participants("c", ())
    assert real.shown == [("bob",), ()]
    mixed.end_composition("c")
    await real.settled()
    assert composing.facts == [started("d"), started("e"), ended("d"), ended("e")]


async def test_a_composition_without_media_ends_where_it_began(composing: Composing) -> None:
    real = RealComposer()
    mixed = MixedComposer(real, composing.composer, is_simulated=lambda _source_id: True)
    mixed.listen(composing.facts.append)
    mixed.start_composition(REQUEST)
    mixed.end_composition("c")
    await composing.composer.settled()
    assert composing.facts == [started("d"), started("e"), ended("d"), ended("e")]
    assert not real.has("c")
