"""Traces of a real server, sent to a real receiver."""

import asyncio
import signal
from pathlib import Path

import httpx

from tests.clients.events_client import connect_events_client
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import run_server
from tests.e2e.telemetry.otlp_receiver import OtlpReceiver

DEADLINE_SECONDS = 20
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzZWNyZXQiOjF9.c2lnbmF0dXJl"


def test_a_request_and_its_commit_are_spans_of_the_clients_trace(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        with (
            run_server(tmp_path / "data", auth="off", otlp_endpoint=receiver.url) as server,
            httpx.Client(base_url=server.endpoint_url) as client,
        ):
            headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "authorization": f"Bearer {TOKEN}"}
            created = client.post("/CreateStage", json={"name": "a-name"}, headers=headers)
            assert created.status_code == 200, created.text
            arn = created.json()["stage"]["arn"]
            assert client.post("/GetStage", json={"arn": f"{arn}x"}).status_code == 404
            assert client.post(f"/whip/{TOKEN}?token={TOKEN}", headers=headers).status_code == 404
            assert client.post("/whip", headers=headers | {"content-type": "application/sdp"}).status_code == 401
            assert client.get("/health").status_code == client.get("/metrics").status_code == 200
            assert server.stop() == 0
        (create,) = receiver.named("CreateStage")
        assert (create.trace_id, create.parent_id, create.service) == (TRACE_ID, PARENT_ID, "stagebook")
        assert create.attributes == {
            "http.request.method": "POST",
            "url.scheme": "http",
            "http.route": "/CreateStage",
            "http.response.status_code": 200,
            "stagebook.operation": "CreateStage",
        }
        commits = [span for span in receiver.named("COMMIT book") if span.parent_id == create.span_id]
        assert [(span.trace_id, span.attributes["stagebook.transactions"]) for span in commits] == [(TRACE_ID, 1)]
        assert 0 < commits[0].nanoseconds <= create.nanoseconds
        assert [span.attributes["http.response.status_code"] for span in receiver.named("GetStage")] == [404]
        assert [span.attributes["http.response.status_code"] for span in receiver.named("Publish")] == [401]
        (unknown,) = receiver.named("POST")
        assert "http.route" not in unknown.attributes
        assert not any(span.is_error for span in receiver.spans)
        assert {span.name for span in receiver.spans} == {"CreateStage", "COMMIT book", "GetStage", "Publish", "POST"}
        for secret in (TOKEN, "a-name", arn, "127.0.0.1"):
            assert secret.encode() not in receiver.body
        assert receiver.paths == {"/v1/traces"}


def test_a_receiver_that_fails_delays_neither_a_request_nor_the_end_of_the_server(tmp_path: Path) -> None:
    with OtlpReceiver(status=503) as receiver:
        with run_server(tmp_path / "data", auth="off", otlp_endpoint=receiver.url) as server:
            response = httpx.post(f"{server.endpoint_url}/CreateStage", json={})
            assert response.status_code == 200
            assert server.stop(signal.SIGTERM) == 0
        assert receiver.named("CreateStage")


async def test_a_websocket_and_a_stream_are_spans_that_end_while_they_are_open(tmp_path: Path) -> None:
    with (
        OtlpReceiver() as receiver,
        run_server(tmp_path / "data", auth="off", otlp_endpoint=receiver.url) as server,
    ):
        _, token = await StageHandle(server).token()
        async with (
            connect_events_client(token),
            httpx.AsyncClient(base_url=server.endpoint_url) as client,
            client.stream("GET", "/watch/v1/events/stream") as stream,
        ):
            assert stream.status_code == 200
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not (receiver.named("EventsWebsocket") and receiver.named("StreamEvents")):  # noqa: ASYNC110 - the spans come from another process
                    await asyncio.sleep(0.05)
    (websocket,), (tail,) = receiver.named("EventsWebsocket"), receiver.named("StreamEvents")
    assert websocket.attributes["http.response.status_code"] == 101
    assert (tail.attributes["http.response.status_code"], tail.attributes["http.route"]) == (
        200,
        "/watch/v1/events/stream",
    )
    assert token.encode() not in receiver.body
