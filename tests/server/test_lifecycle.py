"""The server as a process: what a start makes and prints, what an end leaves, and what it refuses."""

import asyncio
import json
import resource
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import websockets
from botocore.exceptions import ClientError

from tests.serving import FREE_PORTS, ServerProcess, run_command


def health(server: ServerProcess) -> dict[str, Any]:
    with urlopen(f"{server.url}/health", timeout=20) as answer:  # noqa: S310 - the server of this test
        body: dict[str, Any] = json.load(answer)
        return body


def create_participant(server: ServerProcess) -> dict[str, Any]:
    """Create a stage with one participant token; return what a participant needs to join."""
    created = server.client().create_stage(participantTokenConfigurations=[{"userId": "alice"}])
    stage, (token,) = created["stage"], created["participantTokens"]
    return {
        "stage_arn": stage["arn"],
        "events_url": f"{stage['endpoints']['events']}/{stage['arn'].rpartition('/')[2]}",
        "participant_id": token["participantId"],
        "token": token["token"],
    }


def join(participant: dict[str, Any], then: Callable[[], None]) -> None:
    """Be on the stage, by the events websocket, while `then` runs; then wait for the server to end the connection."""

    async def be_there() -> None:
        token = websockets.Subprotocol(participant["token"])
        async with websockets.connect(participant["events_url"], subprotocols=[token]) as connection:
            await asyncio.wait_for(connection.recv(), 20)
            await asyncio.to_thread(then)
            await asyncio.wait_for(connection.wait_closed(), 20)

    asyncio.run(be_there())


def event_names(server: ServerProcess, participant: dict[str, Any]) -> list[str]:
    """Return the names of a participant's events in the stage's one session, newest first."""
    client = server.client()
    (session,) = client.list_stage_sessions(stageArn=participant["stage_arn"])["stageSessions"]
    assert "endTime" in session
    events = client.list_participant_events(
        stageArn=participant["stage_arn"],
        sessionId=session["sessionId"],
        participantId=participant["participant_id"],
    )["events"]
    return [event["name"] for event in events]


def test_a_start_says_where_it_is_and_serves(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        assert health(server) == {"status": "ok", "version": "0.1.0", "auth": "on", "unknown_stream_keys": 0}
        assert server.client().list_stages()["stages"] == []
        assert server.url in run_command("env", "--data", str(data)).stdout
        assert str(data) in server.output
        assert f"env --data {data}" in server.output
        assert "WARNING" not in server.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with ServerProcess(tmp_path) as server:
        assert server.end(number) == 0
        assert "server stopped" in server.output
        assert "Traceback" not in server.output


def test_what_was_made_is_there_after_a_restart(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        arn = server.client().create_stage(name="kept")["stage"]["arn"]
        key = server.credentials()["aws_access_key_id"]
        assert server.end() == 0
    with ServerProcess(tmp_path) as server:
        assert server.client().get_stage(arn=arn)["stage"]["name"] == "kept"
        assert server.credentials()["aws_access_key_id"] == key


def test_a_clean_end_makes_everybody_leave(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        participant = create_participant(server)
        join(participant, then=lambda: server.send_signal(signal.SIGTERM))
        assert server.wait() == 0
    with ServerProcess(tmp_path) as server:
        assert event_names(server, participant) == ["LEFT", "JOINED"]
        assert "left open" not in server.output


def test_after_a_crash_the_next_start_makes_everybody_leave_once(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        participant = create_participant(server)
        join(participant, then=server.kill)
    for _ in range(2):
        with ServerProcess(tmp_path) as server:
            assert event_names(server, participant) == ["LEFT", "JOINED"]
            server.end()


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--shutdown-timeout-seconds", "600") as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"POST /ListStages HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
            assert health(server)["status"] == "ok"  # a round trip: the unfinished request has been seen
            server.send_signal(signal.SIGTERM)
            while "server stopping" not in server.output:
                assert server.is_running()
            assert server.end() == 130


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot limit a running process")
def test_a_book_that_cannot_be_written_ends_the_server(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        kept = server.client().create_stage()["stage"]["arn"]
        resource.prlimit(server.process_id, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with pytest.raises(ClientError) as refused:
            server.client().create_stage()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
        assert server.wait() == 1
        assert "the book failed" in server.output
    with ServerProcess(tmp_path) as server:
        assert [stage["arn"] for stage in server.client().list_stages()["stages"]] == [kept]


def test_a_live_book_can_be_copied_and_restored(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with ServerProcess(tmp_path / "data") as server:
        arn = server.client().create_stage()["stage"]["arn"]
        copy.mkdir(mode=0o700)
        with closing(sqlite3.connect(f"file:{server.data / 'book.sqlite3'}?mode=ro", uri=True)) as book:
            book.execute("VACUUM INTO ?", [str(copy / "book.sqlite3")])
        server.client().create_stage()
    with ServerProcess(copy) as server:
        assert [stage["arn"] for stage in server.client().list_stages()["stages"]] == [arn]


def test_it_answers_with_its_public_url(tmp_path: Path) -> None:
    addresses = ("--public-url", "https://stages.example.com/ivs", "--rtmps-public-url", "rtmps://in.example.com/app/")
    with ServerProcess(tmp_path, *addresses) as server:
        credentials = server.credentials()
        assert credentials["endpoint_url"] == "https://stages.example.com/ivs"
        endpoints = server.client(endpoint_url=server.url).create_stage()["stage"]["endpoints"]
    rtmp_host, _, rtmp_port = endpoints.pop("rtmp").removesuffix("/app/").rpartition(":")
    assert rtmp_host == "rtmp://stages.example.com"
    assert int(rtmp_port) > 0
    assert endpoints == {
        "events": "wss://stages.example.com/ivs/events",
        "whip": "https://stages.example.com/ivs/whip",
        "rtmps": "rtmps://in.example.com/app/",
    }


def test_a_door_that_is_switched_off_is_not_in_a_stages_endpoints(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--rtmp-listen", "", "--rtmps-listen", "") as server:
        endpoints = server.client().create_stage()["stage"]["endpoints"]
    assert set(endpoints) == {"events", "whip"}


def test_authentication_can_be_switched_off_and_that_is_loud(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--auth", "off") as server:
        assert "WARNING: auth is off" in server.output
        assert health(server)["auth"] == "off"
        request = Request(  # noqa: S310 - the server of this test
            f"{server.url}/ListStages", data=b"{}", headers={"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=20) as answer:  # noqa: S310 - same
            assert json.load(answer) == {"stages": []}


def test_configured_credentials_have_their_own_account_and_policy(tmp_path: Path) -> None:
    config = tmp_path / "stagebook.toml"
    config.write_text(
        """
        [[credentials]]
        access_key_id = "AKIAREADERREADER0000"
        secret_access_key = "a-secret-of-a-reader-0000000000000000000"
        account_id = "123456789012"
        [[credentials.policy.Statement]]
        Effect = "Allow"
        Action = "ivs:List*"
        Resource = "*"
        """,
        encoding="utf-8",
    )
    with ServerProcess(tmp_path / "data", "--config", str(config)) as server:
        reader = server.client(
            aws_access_key_id="AKIAREADERREADER0000",
            aws_secret_access_key="a-secret-of-a-reader-0000000000000000000",
        )
        assert reader.list_stages()["stages"] == []
        with pytest.raises(reader.exceptions.AccessDeniedException):
            reader.create_stage()


def test_no_secret_is_ever_written_to_the_log(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--log-level", "debug") as server:
        participant = create_participant(server)
        token = participant["token"]
        whip = Request(  # noqa: S310 - the server of this test
            f"{server.url}/whip",
            data=b"not an offer",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"},
        )
        with pytest.raises(OSError, match="400"):
            urlopen(whip, timeout=20)  # noqa: S310 - same
        join(participant, then=lambda: server.send_signal(signal.SIGTERM))
        secret = server.credentials()["aws_secret_access_key"]
        assert server.wait() == 0
        assert "path=/CreateStage" in server.output
        assert "path=/whip" in server.output
        for hidden in (token, token.rpartition(".")[2], secret, "Signature=", "Bearer"):
            assert hidden not in server.output


def refused(data: Path, *arguments: str) -> tuple[int, str]:
    """Start a server that must not start; return its exit code and its one line of reason."""
    ended = run_command("serve", *FREE_PORTS, "--data", str(data), *arguments)
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return ended.returncode, line


def test_a_taken_port_is_a_clear_refusal(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "first") as server:
        code, line = refused(tmp_path / "second", "--listen", server.url.removeprefix("http://"))
    assert code == 1
    assert "cannot listen on" in line
    assert "--listen" in line


@pytest.mark.parametrize("door", ["rtmp", "rtmps"])
def test_a_taken_port_of_ingest_is_a_clear_refusal(tmp_path: Path, door: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, line = refused(tmp_path / "second", f"--{door}-listen", address)
    assert code == 1
    assert f"{door}_listen: cannot listen on {address}" in line
    assert f"--{door}-listen HOST:PORT" in line


def test_a_second_server_on_the_same_data_is_a_clear_refusal(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        code, line = refused(tmp_path)
        assert health(server)["status"] == "ok"
    assert code == 1
    assert "book.sqlite3" in line


def test_a_foreign_database_is_a_clear_refusal(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "book.sqlite3") as foreign:
        foreign.execute("CREATE TABLE notes (text)")
    foreign.close()
    code, line = refused(tmp_path)
    assert code == 1
    assert "book.sqlite3" in line


def test_a_readable_secret_is_a_clear_refusal(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.end()
    (tmp_path / "access-key.json").chmod(0o644)
    code, line = refused(tmp_path)
    assert code == 1
    assert "chmod 600" in line


def test_a_policy_that_is_not_understood_is_a_refusal(tmp_path: Path) -> None:
    config = tmp_path / "stagebook.toml"
    config.write_text(
        """
        [[credentials]]
        access_key_id = "AKIAREADERREADER0000"
        secret_access_key = "a-secret-of-a-reader-0000000000000000000"
        account_id = "123456789012"
        [[credentials.policy.Statement]]
        Effect = "Perhaps"
        """,
        encoding="utf-8",
    )
    code, line = refused(tmp_path / "data", "--config", str(config))
    assert code == 2
    assert "credentials" in line
    assert "Effect" in line
