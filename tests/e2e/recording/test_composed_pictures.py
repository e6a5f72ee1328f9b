"""A composition follows its stage: joins, leaves, attributes and stopped video, within 500 ms and frame by frame."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.color_publisher import ColorPublisher
from tests.clients.events_client import connect_events_client
from tests.clients.publisher import Publisher
from tests.e2e.recording.colorful_stage import AGAIN, MAXIMUM_DELAY_SECONDS, ColorfulStage, set_state
from tests.e2e.recording.composed_colors import COLORS, loud_times, shown_colors, shown_points
from tests.e2e.server import start_server

pytestmark = pytest.mark.recording

MUTES = 3
GRID = {"participantOrderAttribute": "order", "gridGap": 0}
FEATURED = {"featuredParticipantAttribute": "featured", "gridGap": 0}
FEATURED_POINTS = ((0.25, 0.2), (0.9, 0.5))
"""In the featured slot, where it is above all tiles of a grid of two, and in the strip beside the slot."""
PIP = {"pipParticipantAttribute": "pip", "pipPosition": "TOP_LEFT", "pipOffset": 0, "pipBehavior": "DYNAMIC"}
PIP_POINTS = ((0.1, 0.1), (0.7, 0.7))
"""In the window, and beside it."""
PLAIN = ("black", "grey")


@pytest.fixture(name="stage")
async def stage_fixture(tmp_path: Path) -> AsyncIterator[ColorfulStage]:
    server = await asyncio.to_thread(start_server, tmp_path / "data", media_processes="1")
    yield ColorfulStage(server)
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_composition_follows_its_stage(stage: ColorfulStage) -> None:
    red_token, green_token = stage.token("red", order="2"), stage.token("green", order="1")
    red, green = ColorPublisher(red_token, COLORS["red"]), ColorPublisher(green_token, COLORS["green"])
    async with connect_events_client(red_token) as red_events, connect_events_client(green_token) as green_events:
        await red.start()
        stage.compose({"grid": GRID})
        await stage.until_state("ACTIVE")
        await stage.act("red")
        await green.start()
        await stage.act("green red")
        await stage.act("red green", stage.exchange(green_events, "green", order="3"))
        await stage.act("grey green", set_state(red_events, video_stopped=True))
        await stage.act("red green" + AGAIN, set_state(red_events))
        await stage.act("green", red.stop())
        await stage.stop()
        await green.stop()
    shown = shown_colors(stage.playlist)
    # A tile is plain until its first picture is decoded; the canvas is black until the composition knows who publishes.
    assert [one.colors for one in shown if one.colors not in (*PLAIN, "grey red")] == [
        "red",
        "green red",
        "red green",
        "grey green",
        "red green",
        "green",
    ]
    delays = stage.delays(shown)
    assert max(delays.values()) <= MAXIMUM_DELAY_SECONDS, delays


async def test_the_featured_slot_follows_an_attribute(stage: ColorfulStage) -> None:
    red_token, green_token = stage.token("red"), stage.token("green", featured="true")
    red, green = ColorPublisher(red_token, COLORS["red"]), ColorPublisher(green_token, COLORS["green"])
    async with connect_events_client(green_token) as green_events:
        await red.start()
        stage.compose({"grid": FEATURED})
        await stage.until_state("ACTIVE")
        await stage.act("red red")
        await green.start()
        await stage.act("green red")
        await stage.act("black red", stage.exchange(green_events, "green"))
        await stage.act("green red" + AGAIN, stage.exchange(green_events, "green", featured="true"))
        await stage.act("green green", red.stop())
        await stage.stop()
        await green.stop()
    shown = shown_points(stage.playlist, FEATURED_POINTS)
    seen = [one.colors for one in shown if one.colors not in ("black black", "grey grey", "grey red")]
    assert seen == ["red red", "green red", "black red", "green red", "green green"]
    delays = stage.delays(shown)
    assert max(delays.values()) <= MAXIMUM_DELAY_SECONDS, delays


async def test_the_window_is_above_the_others_and_fills_the_canvas_without_them(stage: ColorfulStage) -> None:
    red_token, green_token = stage.token("red"), stage.token("green", pip="true")
    red, green = ColorPublisher(red_token, COLORS["red"]), ColorPublisher(green_token, COLORS["green"])
    async with connect_events_client(red_token) as red_events:
        await red.start()
        stage.compose({"pip": PIP})
        await stage.until_state("ACTIVE")
        await stage.act("red red")
        await green.start()
        await stage.act("green red")
        await stage.act("green grey", set_state(red_events, video_stopped=True))
        await stage.act("green red" + AGAIN, set_state(red_events))
        await stage.act("green green", red.stop())
        await stage.stop()
        await green.stop()
    shown = shown_points(stage.playlist, PIP_POINTS)
    seen = [one.colors for one in shown if one.colors not in ("black black", "grey grey", "grey red")]
    assert seen == ["red red", "green red", "green grey", "green red", "green green"]
    delays = stage.delays(shown)
    assert max(delays.values()) <= MAXIMUM_DELAY_SECONDS, delays


async def test_a_muted_participant_is_silent(stage: ColorfulStage) -> None:
    token = stage.token("speaker")
    publisher = Publisher(token)
    async with connect_events_client(token) as events:
        await publisher.start()
        stage.compose({"grid": GRID})
        await stage.until_state("ACTIVE")
        await stage.act("sound")
        for number in range(MUTES):
            await stage.act(f"silence {number}", set_state(events, audio_muted=True))
            await stage.act(f"sound {number}", set_state(events))
        await stage.stop()
        await publisher.stop()
    heard = loud_times(stage.playlist)
    mutes = [(stage.acts[f"silence {number}"], stage.acts[f"sound {number}"]) for number in range(MUTES)]
    assert min(heard) < mutes[0][0]
    for muted, unmuted in mutes:
        # A machine that makes frames late shows a change in frames that were due before it.
        heard_between = [moment for moment in heard if muted < moment < unmuted - MAXIMUM_DELAY_SECONDS]
        assert max(heard_between, default=muted) - muted <= MAXIMUM_DELAY_SECONDS
        heard_again = min(moment for moment in heard if moment > unmuted - MAXIMUM_DELAY_SECONDS)
        assert heard_again - unmuted <= MAXIMUM_DELAY_SECONDS
