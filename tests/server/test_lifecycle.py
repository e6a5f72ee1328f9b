"""The server process: start, restart, shutdown, crash recovery, and starts that are refused."""

import asyncio
import json
import os
import pwd
import re
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

from stagebook.book.sqlite.book_lock import BookLock
from tests.serving import FREE_PORTS, ServerProcess, run_command


def health(server: ServerProcess) -> dict[str, Any]:
    with urlopen(f"{server.url}/health", timeout=20) as response:  # noqa: S310 - the server of this test
        body: dict[str, Any] = json.load(response)
        return body


def create_participant(server: ServerProcess) -> dict[str, Any]:
    """Create a stage with one participant token; return the values with which the participant can join."""
    created = server.client().create_stage(participantTokenConfigurations=[{"userId": "alice"}])
    stage, (token,) = created["stage"], created["participantTokens"]
    return {
        "stage_arn": stage["arn"],
        "events_url": f"{stage['endpoints']['events']}/{stage['arn'].rpartition('/')[2]}",
        "participant_id": token["participantId"],
        "token": token["token"],
    }


def join(participant: dict[str, Any], then: Callable[[], None]) -> None:
    """Join by the events websocket, run `then`, and wait until the server closes the connection."""

    async def connect() -> None:
        token = websockets.Subprotocol(participant["token"])
        async with websockets.connect(participant["events_url"], subprotocols=[token]) as connection:
            await asyncio.wait_for(connection.recv(), 20)
            await asyncio.to_thread(then)
            await asyncio.wait_for(connection.wait_closed(), 20)

    asyncio.run(connect())


def event_names(server: ServerProcess, participant: dict[str, Any]) -> list[str]:
    """Return the names of a participant's events in the only session of the stage, newest first."""
    client = server.client()
    (session,) = client.list_stage_sessions(stageArn=participant["stage_arn"])["stageSessions"]
    assert "endTime" in session
    events = client.list_participant_events(
        stageArn=participant["stage_arn"],
        sessionId=session["sessionId"],
        participantId=participant["participant_id"],
    )["events"]
    return [event["name"] for event in events]


def test_a_started_server_prints_its_addresses_and_serves(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        counted = dict.fromkeys(("unknown_stream_keys", "encoder_streams", "shed_encoders"), 0)
        assert health(server) == {"status": "ok", "version": "0.1.0", "auth": "on", **counted}
        assert server.client().list_stages()["stages"] == []
        assert server.url in run_command("env", "--data", str(data)).stdout
        assert str(data) in server.output
        assert f"env --data {data}" in server.output
        assert "WARNING" not in server.output


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_media_processes_of_root_run_as_another_user(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    with ServerProcess(tmp_path) as server:
        processes = re.findall(r"process_id=(\d+)", server.output)
        statuses = [Path(f"/proc/{process}/status").read_text() for process in processes]
    assert len(statuses) == 2
    assert all(f"Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}\n" in status for status in statuses)


def test_a_readable_data_folder_is_made_private_before_the_book_is_created(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    with ServerProcess(data) as server:
        assert "their modes were repaired" in server.output
        assert data.stat().st_mode & 0o777 == 0o700
        assert {path.name for path in data.iterdir() if path.stat().st_mode & 0o777 != 0o600} == set()
        assert (data / "book.sqlite3").exists()


def test_a_first_start_without_the_lock_generates_no_secret(tmp_path: Path) -> None:
    with BookLock.take(tmp_path / "book.sqlite3"):
        refused = run_command("serve", *FREE_PORTS, "--data", str(tmp_path))

    assert refused.returncode == 1
    assert "already open for writing" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["book.sqlite3.lock"]


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGHUP))],
)
def test_a_signal_shuts_the_server_down(tmp_path: Path, number: signal.Signals) -> None:
    with ServerProcess(tmp_path) as server:
        assert server.end(number) == 0
        assert "server stopped" in server.output
        assert "Traceback" not in server.output


def test_stages_and_keys_persist_over_a_restart(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        arn = server.client().create_stage(name="kept")["stage"]["arn"]
        key = server.credentials()["aws_access_key_id"]
        assert server.end() == 0
    with ServerProcess(tmp_path) as server:
        assert server.client().get_stage(arn=arn)["stage"]["name"] == "kept"
        assert server.credentials()["aws_access_key_id"] == key


def test_a_clean_shutdown_records_a_left_of_every_participant(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        participant = create_participant(server)
        join(participant, then=lambda: server.send_signal(signal.SIGTERM))
        assert server.wait() == 0
    with ServerProcess(tmp_path) as server:
        assert event_names(server, participant) == ["LEFT", "JOINED"]
        assert "left open" not in server.output


def test_the_start_after_a_crash_records_one_left_of_every_participant(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        participant = create_participant(server)
        join(participant, then=server.kill)
    for _ in range(2):
        with ServerProcess(tmp_path) as server:
            assert event_names(server, participant) == ["LEFT", "JOINED"]
            server.end()


def test_a_second_signal_ends_the_server_at_once(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--shutdown-timeout-seconds", "600") as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"POST /ListStages HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
            # A round trip, so that the server has received the unfinished request.
            assert health(server)["status"] == "ok"
            server.send_signal(signal.SIGTERM)
            while "server stopping" not in server.output:
                assert server.is_running()
            assert server.end() == 130


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot limit a running process")
def test_the_server_ends_when_the_book_cannot_be_written(tmp_path: Path) -> None:
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


def test_the_server_ends_when_the_book_was_deleted(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.client().create_stage()
        (tmp_path / "book.sqlite3").unlink()
        with pytest.raises(ClientError) as refused:
            server.client().create_stage()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
        assert server.wait() == 1
        assert "book.sqlite3 was deleted while the server had it open" in server.output


def test_a_damaged_book_is_reported(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for _ in range(3):
            create_participant(server)
        server.end()
    book = tmp_path / "book.sqlite3"
    content = bytearray(book.read_bytes())
    for first in range(4_096, len(content), 4_096):
        content[first : first + 100] = b"garbage " * 12 + b"end!"
    book.write_bytes(content)

    code, line = refused_start(tmp_path)

    assert code == 1
    assert "book.sqlite3 is damaged" in line
    assert "backup" in line


def test_the_book_of_a_running_server_can_be_backed_up_and_restored(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with ServerProcess(tmp_path / "data") as server:
        arn = server.client().create_stage()["stage"]["arn"]
        copy.mkdir(mode=0o700)
        with closing(sqlite3.connect(f"file:{server.data / 'book.sqlite3'}?mode=ro", uri=True)) as book:
            book.execute("VACUUM INTO ?", [str(copy / "book.sqlite3")])
        server.client().create_stage()
    with ServerProcess(copy) as server:
        assert [stage["arn"] for stage in server.client().list_stages()["stages"]] == [arn]


def test_a_book_that_cannot_shrink_is_rewritten_at_the_first_start_with_an_age(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        arn = server.client().create_stage()["stage"]["arn"]
        server.end()
    with closing(sqlite3.connect(tmp_path / "book.sqlite3", isolation_level=None)) as book:
        for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA auto_vacuum = NONE", "VACUUM"):
            book.execute(statement).fetchall()

    for arguments, is_rewritten in (((), False), (("--retention-days", "30"), True)):
        with ServerProcess(tmp_path, *arguments) as server:
            assert ("the book is being rewritten once" in server.output) == is_rewritten
            assert "could not be rewritten" not in server.output
            assert [stage["arn"] for stage in server.client().list_stages()["stages"]] == [arn]
            server.end()


def test_stream_keys_need_the_secret_beside_the_book(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        made = server.client().create_ingest_configuration(ingestProtocol="RTMPS")["ingestConfiguration"]
        server.end()
    assert made["streamKey"].encode() not in (tmp_path / "book.sqlite3").read_bytes()
    secret = (tmp_path / "stream-key-secret").rename(tmp_path / "elsewhere")

    code, line = refused_start(tmp_path)
    assert (code, "stream-key-secret is missing" in line) == (1, True)

    secret.rename(tmp_path / "stream-key-secret")
    with ServerProcess(tmp_path) as server:
        read = server.client().get_ingest_configuration(arn=made["arn"])["ingestConfiguration"]
        assert read["streamKey"] == made["streamKey"]


def test_stages_contain_the_public_urls(tmp_path: Path) -> None:
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


def test_protocols_that_are_switched_off_are_not_in_the_endpoints_of_a_stage(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--rtmp-listen", "", "--rtmps-listen", "") as server:
        endpoints = server.client().create_stage()["stage"]["endpoints"]
    assert set(endpoints) == {"events", "whip"}


def test_switching_authentication_off_prints_a_warning(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--auth", "off") as server:
        assert "WARNING: auth is off" in server.output
        assert health(server)["auth"] == "off"
        request = Request(  # noqa: S310 - the server of this test
            f"{server.url}/ListStages", data=b"{}", headers={"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=20) as response:  # noqa: S310 - same
            assert json.load(response) == {"stages": []}


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


def test_the_log_contains_no_secret(tmp_path: Path) -> None:
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


def refused_start(data: Path, *arguments: str) -> tuple[int, str]:
    """Start a server that must refuse to start; return its exit code and its error message."""
    ended = run_command("serve", *FREE_PORTS, "--data", str(data), *arguments)
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return ended.returncode, line


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "first") as server:
        code, line = refused_start(tmp_path / "second", "--listen", server.url.removeprefix("http://"))
    assert code == 1
    assert "cannot listen on" in line
    assert "--listen" in line


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
def test_an_ingest_port_in_use_is_reported(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, line = refused_start(tmp_path / "second", f"--{scheme}-listen", address)
    assert code == 1
    assert f"{scheme}_listen: cannot listen on {address}" in line
    assert f"--{scheme}-listen HOST:PORT" in line


def test_a_second_server_on_the_same_data_folder_is_refused(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        code, line = refused_start(tmp_path)
        assert health(server)["status"] == "ok"
    assert code == 1
    assert "book.sqlite3" in line


def test_a_database_of_another_program_is_reported(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "book.sqlite3") as foreign:
        foreign.execute("CREATE TABLE notes (text)")
    foreign.close()
    code, line = refused_start(tmp_path)
    assert code == 1
    assert "book.sqlite3" in line


def test_a_secret_that_other_users_can_read_is_reported(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.end()
    (tmp_path / "access-key.json").chmod(0o644)
    code, line = refused_start(tmp_path)
    assert code == 1
    assert "chmod 600" in line


def test_an_invalid_policy_is_reported(tmp_path: Path) -> None:
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
    code, line = refused_start(tmp_path / "data", "--config", str(config))
    assert code == 2
    assert "credentials" in line
    assert "Effect" in line
