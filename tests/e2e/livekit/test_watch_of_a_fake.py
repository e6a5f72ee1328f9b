"""`stagebook livekit watch` as a process, with a room service whose rooms the test fills: no LiveKit is needed."""

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import jwt
import pytest
from botocore.exceptions import ClientError
from google.protobuf.json_format import MessageToJson

from tests.e2e.livekit.watching_server import ListedRoom, run_watch, start_watch, wait_until_true
from tests.livekit_history.fake_livekit import KEY, FakeLiveKit


@pytest.fixture
def livekit() -> FakeLiveKit:
    return FakeLiveKit()


@pytest.fixture
def livekit_url(livekit: FakeLiveKit) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = livekit.answer(httpx.Request("POST", f"http://livekit{self.path}", content=body))
            self.send_response(answer.status_code)
            content = answer.read()
            self.send_header("content-type", answer.headers.get("content-type", "application/json"))
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the library
            """Nothing is logged."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    listener.server_close()


def post_webhook(endpoint_url: str, event: str) -> int:
    """Post a webhook as LiveKit signs it; return the status."""
    body = event.encode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    claims = {"iss": KEY.key, "sha256": digest, "exp": int(time.time()) + 60}
    token = jwt.encode(claims, KEY.secret, algorithm="HS256")
    answer = httpx.post(f"{endpoint_url}/livekit/webhook", content=body, headers={"authorization": token})
    return answer.status_code


def test_the_history_of_a_livekit_is_listed_and_survives_a_crash(
    tmp_path: Path, livekit: FakeLiveKit, livekit_url: str
) -> None:
    livekit.open("the lobby", "RM_aaaaaaaaaaaa")
    joined_ms = int(time.time() * 1000) - 60_000
    livekit.enter("the lobby", "PA_annannannann", "ann", joined_ms=joined_ms, tracks=1)
    server = start_watch(tmp_path / "data", livekit_url=livekit_url, key=KEY, poll_seconds=0.2)
    ivs = server.client()
    room = ListedRoom(ivs, "the lobby")
    wait_until_true(lambda: room.events("ann") == ["JOINED", "PUBLISH_STARTED"], lambda: room.events("ann"))
    webhook = MessageToJson(livekit.enter("the lobby", "PA_bobbobbobbob", "bob"))
    assert post_webhook(server.endpoint_url, webhook) == 200
    assert room.events("bob") == ["JOINED"], "the answer says that it is durable"
    assert httpx.post(f"{server.endpoint_url}/livekit/webhook", content=b"{}").status_code == 401
    stage = room.stage
    assert stage is not None
    assert (stage["name"], stage["activeSessionId"]) == ("the-lobby", "st-Laaaaaaaaaaaa")
    assert round(room.participants()["ann"]["firstJoinTime"].timestamp() * 1000) == joined_ms
    with pytest.raises(ClientError, match=r"ValidationException.*LiveKit room"):
        ivs.create_participant_token(stageArn=room.stage_arn)
    server.kill()
    livekit.leave("the lobby", "PA_annannannann")
    with run_watch(tmp_path / "data", livekit_url=livekit_url, key=KEY, poll_seconds=0.2) as server:
        room = ListedRoom(server.client(), "the lobby")
        left = ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        wait_until_true(lambda: room.events("ann") == left, lambda: room.events("ann"))
        assert room.events("bob") == ["JOINED"]
        server.client().disconnect_participant(stageArn=room.stage_arn, participantId="bobbobbobbob")
        wait_until_true(lambda: room.events("bob") == ["JOINED", "LEFT"], lambda: room.events("bob"))
        livekit.close("the lobby")
        wait_until_true(lambda: "endTime" in room.sessions()[0], room.sessions)
        assert len(room.sessions()) == 1
        assert KEY.secret not in server.log


@pytest.mark.slow
def test_a_history_in_a_database_survives_a_crash(
    tmp_path: Path, livekit: FakeLiveKit, livekit_url: str, postgres_url: str
) -> None:
    """The second server waits for the lease of the first one."""
    config = tmp_path / "stagebook.toml"
    config.write_text(f'book = "postgres"\ndatabase_url = "{postgres_url}"\n', encoding="utf-8")
    config.chmod(0o600)
    livekit.open("the lobby", "RM_aaaaaaaaaaaa")
    livekit.enter("the lobby", "PA_annannannann", "ann", tracks=1)
    start = partial(start_watch, livekit_url=livekit_url, key=KEY, poll_seconds=0.2, config=config)
    server = start(tmp_path / "first")
    room = ListedRoom(server.client(), "the lobby")
    wait_until_true(lambda: room.events("ann") == ["JOINED", "PUBLISH_STARTED"], lambda: room.events("ann"))
    webhook = MessageToJson(livekit.enter("the lobby", "PA_bobbobbobbob", "bob"))
    assert post_webhook(server.endpoint_url, webhook) == 200
    assert room.events("bob") == ["JOINED"]
    server.kill()
    livekit.leave("the lobby", "PA_annannannann")
    server = start(tmp_path / "second")
    room = ListedRoom(server.client(), "the lobby")
    left = ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    wait_until_true(lambda: room.events("ann") == left, lambda: room.events("ann"))
    assert room.events("bob") == ["JOINED"]
    assert len(room.sessions()) == 1
    server.stop()
