"""An encoder with several video tracks: viewers choose between them as between simulcast layers."""

import asyncio
from functools import partial

import httpx

from stagebook.demo.generated_media import MediaObserver
from tests.clients.multitrack_encoder import MultitrackEncoder
from tests.clients.stage_client import TIMEOUT_SECONDS
from tests.e2e.ingest.ingest_handle import IngestHandle
from tests.e2e.participants.conftest import Peers

LARGE, SMALL = (320, 240), (160, 120)


async def test_a_viewer_chooses_between_the_tracks_of_an_encoder(ingest: IngestHandle, peers: Peers) -> None:
    encoder = MultitrackEncoder(f"{ingest.urls['RTMP']}{ingest.key}", LARGE, SMALL)
    try:
        await ingest.expect_events("JOINED", "PUBLISH_STARTED")
        _, token = await ingest.stage.token("SUBSCRIBE")
        viewer = peers.viewer(token, publisher_id=ingest.participant_id)
        response = await viewer.start()
        await viewer.wait_for_media()
        address = response.url.join(response.links["urn:ietf:params:whep:ext:core:layer"]["url"])
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_SECONDS) as client:
            layers = (await client.get(address)).json()["layers"]
            assert [(layer["encodingId"], layer["width"], layer["height"]) for layer in layers] == [
                ("1", *SMALL),
                ("0", *LARGE),
            ]
            for encoding_id, size in (("1", SMALL), ("0", LARGE), ("1", SMALL)):
                chosen = await client.post(address, json={"encodingId": encoding_id})
                assert chosen.status_code == 200
                await viewer.wait_until(partial(_has_size, size))
                await viewer.wait_for_new_media()
    finally:
        await asyncio.to_thread(encoder.stop)
    await ingest.expect_events("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


def _has_size(size: tuple[int, int], observer: MediaObserver) -> bool:
    return observer.size == size
