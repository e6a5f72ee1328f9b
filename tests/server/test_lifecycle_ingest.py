"""The server and RTMP encoders: its endpoints, its certificate, unknown stream keys, and shutdown."""

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
    """Return an encoder for an endpoint of a stage. For RTMPS, it trusts only the certificate `trusted`."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    tls = None if trusted is None else ssl.create_default_context(cafile=trusted)
    return RtmpPublisher(address.hostname, address.port, tls=tls)


def is_admitted(publisher: RtmpPublisher, stream_key: str) -> bool:
    """Return whether the server admits an encoder with this stream key."""

    async def publish() -> bool:
        async with publisher:
            try:
                await publisher.publish(stream_key)
            except RefusedError:
                return False
            return True

    return asyncio.run(publish())


def unknown_stream_keys(server: ServerProcess) -> int:
    with urlopen(f"{server.url}/health", timeout=20) as response:  # noqa: S310 - the server of this test
        counted: int = json.load(response)["unknown_stream_keys"]
        return counted


def event_names(server: ServerProcess, configuration: dict[str, Any]) -> list[str]:
    """Return the names of the events of the configuration's participant in the only session, newest first."""
    client, stage_arn = server.client(), configuration["stageArn"]
    (session,) = client.list_stage_sessions(stageArn=stage_arn)["stageSessions"]
    events = client.list_participant_events(
        stageArn=stage_arn, sessionId=session["sessionId"], participantId=configuration["participantId"]
    )["events"]
    return [event["name"] for event in events]


def test_the_ingest_endpoints_of_a_stage_admit_encoders(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        endpoints, configuration = create_stage(server)
        assert "RTMP on 127.0.0.1:" in server.output
        assert is_admitted(encoder(endpoints["rtmp"]), configuration["streamKey"])
        trusted = tmp_path / "rtmps-certificate.pem"
        _, second = create_stage(server)
        assert is_admitted(encoder(endpoints["rtmps"], trusted=trusted), second["streamKey"])


def test_an_unknown_stream_key_is_counted_and_not_logged(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        endpoints, _ = create_stage(server)
        assert not is_admitted(encoder(endpoints["rtmp"]), UNKNOWN_KEY)
        assert unknown_stream_keys(server) == 1
        assert server.end() == 0  # the whole log has been read then
        assert "encoder refused" in server.output
        assert UNKNOWN_KEY.rpartition("_")[2] not in server.output


def certificate_arguments(folder: Path, *, key: bytes | None = None) -> tuple[str, ...]:
    """Return the arguments for a configured certificate. `key` replaces its private key by another one."""
    elsewhere = DataFolder(folder)
    elsewhere.prepare()
    elsewhere.prepare_certificate(hosts=["127.0.0.1"], now=datetime.now(UTC))
    if key is not None:
        elsewhere.certificate_key_path.write_bytes(key)
    paths = (elsewhere.certificate_path, elsewhere.certificate_key_path)
    return "--rtmps-certificate", str(paths[0]), "--rtmps-private-key", str(paths[1])


def test_a_configured_certificate_is_used(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", *certificate_arguments(tmp_path / "own")) as server:
        endpoints, configuration = create_stage(server)
        trusted = tmp_path / "own" / "rtmps-certificate.pem"
        assert is_admitted(encoder(endpoints["rtmps"], trusted=trusted), configuration["streamKey"])


def test_a_key_that_does_not_match_the_certificate_is_refused(tmp_path: Path) -> None:
    pair = certificate_arguments(tmp_path / "own", key=new_certificate_key())
    ended = run_command("serve", *FREE_PORTS, "--data", str(tmp_path / "data"), *pair)
    assert ended.returncode == 2
    assert "setting rtmps_private_key" in ended.stderr


def test_a_clean_shutdown_closes_the_encoder_and_records_its_left(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        endpoints, configuration = create_stage(server)
        publisher = encoder(endpoints["rtmp"])

        async def publish_until_closed() -> None:
            async with publisher:
                await publisher.publish(configuration["streamKey"])
                server.send_signal(signal.SIGTERM)
                await publisher.closed()

        asyncio.run(publish_until_closed())
        assert server.wait() == 0
        assert "Traceback" not in server.output
    with ServerProcess(tmp_path) as server:
        assert event_names(server, configuration) == ["LEFT", "JOINED"]
        assert "left open" not in server.output
