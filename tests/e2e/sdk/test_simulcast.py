"""Simulcast: the list of the layers, the layer at the start, and the choice of one by a viewer's strategy."""

import pytest

from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_packages import PACKAGES
from tests.e2e.sdk.sdk_tab import SdkStage, SdkTabs, Seen

CAMERA = {"width": 1280, "height": 720, "frameRate": 10}

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sdk]

# Layers for viewers exist since 1.24.
LAYERS = pytest.mark.parametrize("package", PACKAGES[2:], ids=lambda package: package.version)


@LAYERS
async def test_a_viewer_chooses_a_layer(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher = await simulcast_publisher(stage, tabs)
    publisher_id = publisher.participant_id
    viewer = await tabs.viewer((await stage.token())[1])
    await viewer.wait_until("recorder.stream(argument, 'video')?.getLayers().length > 1", publisher_id)
    sizes = await viewer.run("recorder.sizes(argument)", publisher_id)
    for label, size in sizes.items():
        await viewer.forget()
        await viewer.change(layer=label)
        await viewer.expect((Seen.LAYER_SELECTED, publisher_id, "video", label))
        await viewer.expect_video(publisher_id, size=tuple(size))
    await viewer.change(layer=None)
    await viewer.wait_until("recorder.stream(argument, 'video').isAdapting", publisher_id)
    assert await stage.events(viewer.participant_id) == ["JOINED", ("SUBSCRIBE_STARTED", publisher_id)]


async def test_the_highest_layer_at_the_start(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher = await simulcast_publisher(stage, tabs)
    preference = {"simulcast": {"initialLayerPreference": "highest_quality"}}
    viewer = await tabs.viewer((await stage.token())[1], subscribeConfiguration=preference)
    await viewer.expect_video(publisher.participant_id, size=(1280, 720))


async def simulcast_publisher(stage: StageHandle, tabs: SdkTabs) -> SdkStage:
    token = (await stage.token())[1]
    return await tabs.publisher(token, camera=CAMERA, video={"simulcast": {"enabled": True}})
