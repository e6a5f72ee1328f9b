"""Simulcast: a viewer gets the best active layer, also when layers are switched off and on, or the one it chooses."""

from typing import Any

import pytest

from tests.e2e.browser.participants import Participants
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = pytest.mark.asyncio(loop_scope="session")

CAMERA = {"width": 1280, "height": 720, "frameRate": 10}
LAYERS: list[dict[str, Any]] = [
    {"rid": "low", "scaleResolutionDownBy": 4},
    {"rid": "middle", "scaleResolutionDownBy": 2},
    {"rid": "high"},
]


@pytest.mark.parametrize("codec", ["H264", "VP8"])
@pytest.mark.slow
async def test_the_best_active_layer_is_forwarded(stage: StageHandle, participants: Participants, codec: str) -> None:
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    publisher = await participants.publisher(publisher_token)
    await publisher.publish(camera=CAMERA, layers=LAYERS, codec=codec)
    for layer in LAYERS:
        await publisher.wait_for_stat("outbound-rtp", {"rid": layer["rid"]}, "framesSent", above=0)
    viewer = await participants.viewer(viewer_token)
    await viewer.subscribe(publisher_id)
    await viewer.wait_for_video(size=(1280, 720), count=5)

    await publisher.set_layer_active("high", active=False)
    await viewer.wait_for_video(size=(640, 360), count=5)
    await publisher.set_layer_active("middle", active=False)
    await viewer.wait_for_video(size=(320, 180), count=5)
    await publisher.set_layer_active("high", active=True)
    await viewer.wait_for_video(size=(1280, 720), count=5)
    await viewer.wait_for_audio()
    assert await stage.events(viewer_id) == ["JOINED", ("SUBSCRIBE_STARTED", publisher_id)]


@pytest.mark.parametrize("codec", ["H264", pytest.param("VP8", marks=pytest.mark.slow)])
async def test_a_viewer_chooses_its_layer(stage: StageHandle, participants: Participants, codec: str) -> None:
    publisher_id, publisher_token = await stage.token()
    _, chooser_token = await stage.token()
    _, other_token = await stage.token()
    publisher = await participants.publisher(publisher_token)
    await publisher.publish(camera=CAMERA, layers=LAYERS, codec=codec)
    for layer in LAYERS:
        await publisher.wait_for_stat("outbound-rtp", {"rid": layer["rid"]}, "framesSent", above=0)
    chooser, other = await participants.viewer(chooser_token), await participants.viewer(other_token)
    for viewer in (chooser, other):
        await viewer.subscribe(publisher_id)
        await viewer.wait_for_video(size=(1280, 720), count=5)
    listed = [("low", 320, 180), ("middle", 640, 360), ("high", 1280, 720)]
    await chooser.wait_for_layers(listed, selected="high")

    await chooser.select_layer("low")
    await chooser.wait_for_video(size=(320, 180), count=5)
    await other.wait_for_video(size=(1280, 720), count=5)
    await chooser.wait_for_layers(listed, selected="low")
    await chooser.select_layer("high")
    await chooser.wait_for_video(size=(1280, 720), count=5)
    await chooser.select_layer("middle")
    await chooser.wait_for_video(size=(640, 360), count=5)
    await chooser.select_layer(None)
    await chooser.wait_for_video(size=(1280, 720), count=5)
    await chooser.wait_for_audio()
