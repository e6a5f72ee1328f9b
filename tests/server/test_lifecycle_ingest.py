"""The server as encoders meet it: its doors, its certificate, who is counted, and its end."""

import asyncio
import json
import signal
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from stagebook.data_folder.rtmps_certificate import new_certificate_key
from stagebook.data_folder.secrets import DataFolder
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.serving import FREE_PORTS, ServerProcess, run_command

UNKNOWN_KEY = "rt_123456789012_us-west-2_AbCdEfGh1234_NobodyHasThisStreamKeyAtAll000"


def create_stage(server: ServerProcess) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a stage's endpoints and an ingest configuration of it."""
    stage = server.client().create_stage()["stage"]
    made = server.client().create_ingest_configuration(
        stageArn=stage["arn"], ingestProtocol="RTMPS", insecureIngest=True
    )
    return stage["endpoints"], made["ingestConfiguration"]


def encoder(url: str, *, trusted: Path | None = None) -> RtmpPublisher:
    """Return an encoder for one of a stage's endpoints; for RTMPS it trusts this certificate and checks the host."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    tls = None if trusted is None else ssl.create_default_context(cafile=trusted)
    return RtmpPublisher(address.hostname, address.port, tls=tls)


def is_let_in(door: RtmpPublisher, stream_key: str) -> bool:
    """Whether an encoder may publish."""

    async def try_it() -> bool:
        async with door:
            try:
                await door.publish(stream_key)
            except RefusedError:
                return False
            return True

    return asyncio.run(try_it())


def unknown_stream_keys(server: ServerProcess) -> int:
    with urlopen(f"{server.url}/health", timeout=20) as answer:  # noqa: S310 - the server of this test
        counted: int = json.load(answer)["unknown_stream_keys"]
        return counted


def event_names(server: ServerProcess, configuration: dict[str, Any]) -> list[str]:
    """Return what the configuration's participant did in the stage's one session, newest first."""
    client, stage_arn = server.client(), configuration["stageArn"]
    (session,) = client.list_stage_sessions(stageArn=stage_arn)["stageSessions"]
    events = client.list_participant_events(
        stageArn=stage_arn, sessionId=session["sessionId"], participantId=configuration["participantId"]
    )["events"]
    return [event["name"] for event in events]


def test_the_doors_of_a_stages_endpoints_let_encoders_in(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        endpoints, configuration = create_stage(server)
        assert "RTMP on 127.0.0.1:" in server.output
        assert is_let_in(encoder(endpoints["rtmp"]), configuration["streamKey"])
        trusted = tmp_path / "rtmps-certificate.pem"
        _, second = create_stage(server)
        assert is_let_in(encoder(endpoints["rtmps"], trusted=trusted), second["streamKey"])


def test_a_stream_key_of_nobody_is_counted_and_not_logged(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        endpoints, _ = create_stage(server)
        assert not is_let_in(encoder(endpoints["rtmp"]), UNKNOWN_KEY)
        assert unknown_stream_keys(server) == 1
        assert server.end() == 0  # then all that it logged has been read
        assert "an encoder was refused" in server.output
        assert UNKNOWN_KEY.rpartition("_")[2] not in server.output


def own_pair(folder: Path, *, key: bytes | None = None) -> tuple[str, ...]:
    """Return the arguments for a certificate from elsewhere; with `key`, for a key that is not its own."""
    elsewhere = DataFolder(folder)
    elsewhere.prepare()
    elsewhere.prepare_certificate(hosts=["127.0.0.1"], now=datetime.now(UTC))
    if key is not None:
        elsewhere.certificate_key_path.write_bytes(key)
    paths = (elsewhere.certificate_path, elsewhere.certificate_key_path)
    return "--rtmps-certificate", str(paths[0]), "--rtmps-private-key", str(paths[1])


def test_a_configured_certificate_is_shown_to_encoders(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", *own_pair(tmp_path / "own")) as server:
        endpoints, configuration = create_stage(server)
        trusted = tmp_path / "own" / "rtmps-certificate.pem"
        assert is_let_in(encoder(endpoints["rtmps"], trusted=trusted), configuration["streamKey"])


def test_a_key_that_is_not_the_certificates_is_a_refusal(tmp_path: Path) -> None:
    pair = own_pair(tmp_path / "own", key=new_certificate_key())
    ended = run_command("serve", *FREE_PORTS, "--data", str(tmp_path / "data"), *pair)
    assert ended.returncode == 2
    assert "setting rtmps_private_key" in ended.stderr


def test_a_clean_end_tells_the_encoder_and_makes_it_leave(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        endpoints, configuration = create_stage(server)
        door = encoder(endpoints["rtmp"])

        async def be_there() -> None:
            async with door:
                await door.publish(configuration["streamKey"])
                server.send_signal(signal.SIGTERM)
                await door.closed()

        asyncio.run(be_there())
        assert server.wait() == 0
        assert "Traceback" not in server.output
    with ServerProcess(tmp_path) as server:
        assert event_names(server, configuration) == ["LEFT", "JOINED"]
        assert "left open" not in server.output
