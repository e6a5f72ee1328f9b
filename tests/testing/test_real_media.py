"""Real media in a server for tests: its media processes start with the first publisher and the first encoder."""

import asyncio
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from stagebook.testing import StagebookServer, serve
from tests.clients.publisher import Publisher
from tests.clients.rtmp_publisher import RtmpPublisher
from tests.clients.viewer import Viewer

Client: TypeAlias = Any


async def test_a_real_publisher_is_watched_by_real_and_by_simulated_viewers() -> None:
    with serve() as server:
        arn = await asyncio.to_thread(new_stage, server)
        ann, bob, eve = await asyncio.gather(*(asyncio.to_thread(server.participant, arn) for _ in range(3)))
        publisher = Publisher(ann.token)
        viewer = Viewer(bob.token, publisher_id=ann.participant_id)
        try:
            await publisher.start()
            await viewer.start()
            await viewer.wait_for_media()
            watched = await asyncio.to_thread(eve.subscribe, ann)
            assert [event.name for event in watched] == ["JOINED", "SUBSCRIBE_STARTED"]
        finally:
            await viewer.stop()
            await publisher.stop()


async def test_a_real_encoder_is_admitted(ivs: Client) -> None:
    stage = ivs.create_stage(name="show")["stage"]
    made = ivs.create_ingest_configuration(stageArn=stage["arn"], ingestProtocol="RTMP", insecureIngest=True)
    address = urlsplit(stage["endpoints"]["rtmp"])
    assert address.hostname is not None
    assert address.port is not None
    async with RtmpPublisher(address.hostname, address.port) as encoder:
        # Raises RefusedError if it is refused.
        await encoder.publish(made["ingestConfiguration"]["streamKey"])


def new_stage(server: StagebookServer) -> str:
    """Create a stage."""
    arn: str = server.client().create_stage(name="show")["stage"]["arn"]
    return arn
