"""The metrics of a server with real participants: what is live, what happened, and what the engine moved."""

import asyncio

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.clients.events_client import connect_events_client
from tests.clients.publisher import Publisher
from tests.clients.viewer import Viewer
from tests.e2e.ingest.ingest_handle import IngestHandle
from tests.e2e.metrics.scraped_metrics import ScrapedMetrics, scrape, scrape_until
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer
from tests.e2e.watch.bearer import create_key


def has_media(scraped: ScrapedMetrics) -> bool:
    return scraped.value("stagebook_engine_sent_packets_total") > 20


def has_encoder(scraped: ScrapedMetrics) -> bool:
    """Whether both the engine and the ingest process have reported the encoder: each reports at times of its own."""
    return scraped.value("stagebook_engine_feed_units_total") > 10 and scraped.value("stagebook_ingest_streams") == 1


async def test_a_publisher_and_a_viewer_are_seen_in_every_part(server: RunningServer) -> None:
    stage = StageHandle(server)
    publisher_id, publisher_token = await stage.token()
    _, viewer_token = await stage.token("SUBSCRIBE")
    publisher = Publisher(publisher_token)
    viewer = Viewer(viewer_token, publisher_id=publisher_id)
    try:
        await publisher.start()
        await viewer.start()
        scraped = await scrape_until(server.endpoint_url, has_media)
    finally:
        await viewer.stop()
        await publisher.stop()
    live = {name: scraped.value(f"stagebook_{name}") for name in ("sessions", "participants", "publishers")}
    assert live == {"sessions": 1, "participants": 2, "publishers": 1}
    assert scraped.value("stagebook_subscriptions") == 1
    assert scraped.value("stagebook_stages") == 1
    for name, count in (("JOINED", 2), ("PUBLISH_STARTED", 1), ("SUBSCRIBE_STARTED", 1), ("LEFT", 0)):
        assert scraped.value("stagebook_events_total", name=name, error_code="") == count, name
    appended = scraped.value("stagebook_append_seconds_count")
    assert appended >= 3  # the stage, and the arrivals of both
    assert scraped.value("stagebook_append_seconds_bucket", le="+Inf") == appended
    assert scraped.value("stagebook_append_queue_transactions") == 0
    operations = {"CreateStage": "aws", "CreateParticipantToken": "aws", "Publish": "participants"}
    for operation, api in operations.items():
        wanted = {"api": api, "operation": operation, "status": "200" if api == "aws" else "201"}
        assert scraped.value("stagebook_api_requests_total", **wanted) >= 1, operation
        assert scraped.value("stagebook_api_request_seconds_count", api=api, operation=operation) >= 1
    connections = [scraped.value("stagebook_engine_connections", kind=kind) for kind in ("publisher", "viewer")]
    assert connections == [1, 1]
    packets = scraped.value("stagebook_engine_received_packets_total", engine="0")
    assert scraped.value("stagebook_engine_received_bytes_total") > 12 * packets > 0
    sent = scraped.value("stagebook_engine_sent_packets_total")
    assert scraped.value("stagebook_engine_sent_bytes_total") > 12 * sent
    assert scraped.value("stagebook_engine_cpu_seconds_total") > 0
    assert scraped.value("stagebook_book_bytes", file="database") > 0


async def test_the_ends_and_errors_are_counted(server: RunningServer) -> None:
    stage = StageHandle(server)
    before = scrape(server.endpoint_url)
    publisher_id, token = await stage.token("SUBSCRIBE")
    publisher = Publisher(token)
    with pytest.raises(Exception, match="403"):
        await publisher.start()
    await publisher.stop()
    with pytest.raises(ClientError):
        await stage.call("get_participant", sessionId="no id", participantId=publisher_id)
    after = await asyncio.to_thread(scrape, server.endpoint_url)

    def more(sample_name: str, /, **labels: str) -> float:
        return after.value(sample_name, **labels) - before.value(sample_name, **labels)

    assert more("stagebook_events_total", name="PUBLISH_ERROR", error_code="INSUFFICIENT_CAPABILITIES") == 1
    assert more("stagebook_api_requests_total", operation="Publish", status="403") == 1
    assert more("stagebook_api_requests_total", operation="GetParticipant", status="400") == 1


async def test_an_events_websocket_is_a_participant_and_a_websocket(server: RunningServer) -> None:
    stage = StageHandle(server)
    before = scrape(server.endpoint_url)
    _, token = await stage.token()
    async with connect_events_client(token):
        during = await asyncio.to_thread(scrape, server.endpoint_url)
    assert during.value("stagebook_websockets") == before.value("stagebook_websockets") + 1
    opened = {"operation": "EventsWebsocket", "status": "101"}
    requests = [each.value("stagebook_api_requests_total", **opened) for each in (before, during)]
    assert requests[1] == requests[0] + 1


async def test_an_encoder_is_seen_by_its_ingest_process_and_by_the_engine(server: RunningServer) -> None:
    ingest = await IngestHandle.create(StageHandle(server))
    try:
        await ingest.publish()
        scraped = await scrape_until(server.endpoint_url, has_encoder)
    finally:
        await ingest.close()
    assert scraped.value("stagebook_ingest_streams") == scraped.value("stagebook_ingest_connections") == 1
    assert scraped.value("stagebook_engine_connections", kind="encoder") == 1
    assert scraped.value("stagebook_engine_feed_bytes_total") > scraped.value("stagebook_engine_feed_units_total")


async def test_a_stream_of_events_is_counted_while_it_is_open(server: RunningServer) -> None:
    key = await asyncio.to_thread(create_key, server, "reader")
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(base_url=server.endpoint_url, headers=headers) as client,
        client.stream("GET", "/watch/v1/events/stream") as response,
    ):
        assert response.status_code == 200
        during = await asyncio.to_thread(scrape, server.endpoint_url)
    assert during.value("stagebook_event_streams") == 1
    await scrape_until(server.endpoint_url, lambda scraped: scraped.value("stagebook_event_streams") == 0)
