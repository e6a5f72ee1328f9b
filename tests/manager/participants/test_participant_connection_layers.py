"""The simulcast layers of a viewer's connection: who may list and choose them, and how refusals are mapped."""

import pytest

from stagebook.media.port import InitialLayer, LayerChoice, RefusalReason, VideoLayer, VideoLayers
from stagebook.stage.errors import ConnectionNotFoundError, LayerNotFoundError, ServerBusyError
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher

LOW = VideoLayer(encoding_id="low", bitrate_bps=1, width=320, height=180, frames_per_second=30, is_selected=False)


async def test_a_viewer_lists_and_chooses_the_layers_of_its_connection(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    await harness.publish(harness.claims(stage, "P"))
    viewer = harness.claims(stage, "V")
    connection_id = await harness.subscribe(viewer, "P")
    harness.engine.video_layers = VideoLayers(section=1, layers=(LOW,))
    participants = harness.manager.participants

    assert await participants.layers(viewer, connection_id=connection_id) == harness.engine.video_layers
    for choice in ("low", None):
        await participants.select_layer(viewer, connection_id=connection_id, choice=LayerChoice.exactly(choice))
        assert harness.engine.selected[connection_id] == choice
    with pytest.raises(LayerNotFoundError):
        await participants.select_layer(viewer, connection_id=connection_id, choice=LayerChoice.exactly("other"))


async def test_others_and_other_kinds_of_connections_have_no_layers(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    publisher, viewer = harness.claims(stage, "P"), harness.claims(stage, "V")
    published = await harness.publish(publisher)
    watched = await harness.subscribe(viewer, "P")
    participants = harness.manager.participants
    websocket = await participants.open_events(viewer, watcher=Watcher(), client=CLIENT)

    for claims, connection_id in ((publisher, watched), (publisher, published), (viewer, websocket), (viewer, "none")):
        with pytest.raises(ConnectionNotFoundError):
            await participants.layers(claims, connection_id=connection_id)
        with pytest.raises(ConnectionNotFoundError):
            await participants.select_layer(claims, connection_id=connection_id, choice=LayerChoice())


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (RefusalReason.BUSY, ServerBusyError),
        (RefusalReason.UNKNOWN_CONNECTION, ConnectionNotFoundError),
        (RefusalReason.ENGINE_LOST, ConnectionNotFoundError),
    ],
)
async def test_the_refusals_of_the_engine_are_mapped(
    harness: ManagerHarness, reason: RefusalReason, expected: type[Exception]
) -> None:
    stage = await harness.stage()
    await harness.publish(harness.claims(stage, "P"))
    viewer = harness.claims(stage, "V")
    connection_id = await harness.subscribe(viewer, "P")
    harness.engine.refuse = reason

    with pytest.raises(expected):
        await harness.manager.participants.select_layer(viewer, connection_id=connection_id, choice=LayerChoice())


async def test_the_engine_gets_the_initial_layer(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    await harness.publish(harness.claims(stage, "P"))
    opened = await harness.manager.participants.subscribe(
        harness.claims(stage, "V"),
        publisher_id="P",
        offer="v=0",
        client=CLIENT,
        initial_layer=InitialLayer.HIGHEST,
    )

    assert harness.engine.initial_layers[opened.connection_id] is InitialLayer.HIGHEST
