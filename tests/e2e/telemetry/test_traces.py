"""Traces of a real server, sent to a real receiver."""

import signal
from pathlib import Path

import httpx

from tests.e2e.server import run_server
from tests.e2e.telemetry.otlp_receiver import OtlpReceiver

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
