"""From settings to what each part is told."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from stagebook.config.rules import ConfigError
from stagebook.config.server_settings import Credential
from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings
from stagebook.data_folder.rtmps_certificate import VALIDITY
from stagebook.data_folder.secrets import DataFolder
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.server.listen_sockets import ListenSockets, listening
from stagebook.server.wiring import (
    Secrets,
    certificate_files,
    endpoints,
    engine_settings,
    ingest_settings,
    public_address,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
READER = Credential(
    access_key_id="AKIAREADERREADER0000",
    secret_access_key="a-secret-of-a-reader",
    account_id="210987654321",
    policy={"Statement": {"Effect": "Allow", "Action": "ivs:List*", "Resource": "*"}},
    user_name="reader",
)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), "http://127.0.0.1:9000"),
        (Settings(listen="[::1]:0"), "http://[::1]:9000"),
        (Settings(listen="0.0.0.0:0"), "http://127.0.0.1:9000"),
        (Settings(listen="[::]:0"), "http://127.0.0.1:9000"),
        (Settings(listen="stages.example.com:0"), "http://stages.example.com:9000"),
        (Settings(public_url="https://example.com/ivs"), "https://example.com/ivs"),
    ],
)
def test_the_public_url_is_the_listening_address_unless_set(settings: Settings, expected: str) -> None:
    assert public_address(settings, port=9_000) == expected


@contextmanager
def doors(**settings: str) -> Iterator[tuple[Settings, ListenSockets]]:
    """Listen on any free ports, unless a setting says otherwise."""
    free = dict.fromkeys(("listen", "rtmp_listen", "rtmps_listen"), "127.0.0.1:0")
    told = load_settings(flags=free | settings, environment={})
    with listening(told) as sockets:
        yield told, sockets


def port(door: socket.socket | None) -> int:
    assert door is not None
    number: int = door.getsockname()[1]
    return number


@pytest.mark.parametrize(
    ("public_url", "host", "events"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", "ws://127.0.0.1:8080/events"),
        ("https://example.com/ivs", "example.com", "wss://example.com/ivs/events"),
        ("http://[::1]:8080", "[::1]", "ws://[::1]:8080/events"),
    ],
)
def test_endpoints_follow_the_public_url_and_the_bound_ports(public_url: str, host: str, events: str) -> None:
    with doors() as (settings, sockets):
        made = endpoints(settings, public_url=public_url, listening=sockets)
        assert (made.whip, made.events) == (f"{public_url}/whip", events)
        assert made.rtmp == f"rtmp://{host}:{port(sockets.rtmp)}/app/"
        assert made.rtmps == f"rtmps://{host}:{port(sockets.rtmps)}/app/"


def test_ingest_has_public_addresses_of_its_own_when_told() -> None:
    rtmp, rtmps = "rtmp://in.example.com/app/", "rtmps://in.example.com:443/app/"
    with doors(rtmp_public_url=rtmp, rtmps_public_url=rtmps) as (settings, sockets):
        made = endpoints(settings, public_url="https://example.com", listening=sockets)
    assert (made.rtmp, made.rtmps) == (rtmp, rtmps)


def test_a_door_that_is_switched_off_has_no_endpoint() -> None:
    with doors(rtmp_listen="") as (settings, sockets):
        made = endpoints(settings, public_url="https://example.com", listening=sockets)
    assert made.rtmp is None
    assert made.rtmps is not None


def certified_hosts(certificate: Path) -> set[str]:
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        (Settings(), set()),
        (Settings(rtmps_listen="192.0.2.7:443"), {"192.0.2.7"}),
        (Settings(rtmps_listen="0.0.0.0:443"), set()),
        (Settings(public_url="https://example.com/ivs"), {"example.com"}),
        (Settings(rtmps_public_url="rtmps://in.example.com/app/"), {"in.example.com"}),
    ],
)
def test_the_self_made_certificate_is_for_every_host_encoders_may_name(
    folder: DataFolder, settings: Settings, hosts: set[str]
) -> None:
    files = certificate_files(settings, folder=folder, now=NOW)
    assert files == (folder.certificate_path, folder.certificate_key_path)
    assert certified_hosts(folder.certificate_path) == {"localhost", "127.0.0.1", "::1"} | hosts


def test_without_rtmps_no_certificate_is_made(folder: DataFolder) -> None:
    assert certificate_files(Settings(rtmps_listen=""), folder=folder, now=NOW) is None
    assert not folder.certificate_path.exists()


def test_a_configured_certificate_is_used_as_it_is(folder: DataFolder, tmp_path: Path) -> None:
    folder.prepare_certificate(hosts=["localhost"], now=NOW)
    own = [path.rename(tmp_path / path.name) for path in (folder.certificate_path, folder.certificate_key_path)]
    settings = Settings(rtmps_certificate=str(own[0]), rtmps_private_key=str(own[1]))
    assert certificate_files(settings, folder=folder, now=NOW) == tuple(own)
    assert not folder.certificate_path.exists()


def test_a_configured_certificate_that_has_ended_is_served_with_a_warning(folder: DataFolder) -> None:
    folder.prepare_certificate(hosts=["localhost"], now=NOW)
    own = (str(folder.certificate_path), str(folder.certificate_key_path))
    settings = Settings(rtmps_certificate=own[0], rtmps_private_key=own[1])
    with capture_logs() as lines:
        assert certificate_files(settings, folder=folder, now=NOW + VALIDITY + timedelta(days=1)) is not None
    assert [line["log_level"] for line in lines] == ["warning"]


def test_ingest_is_told_its_bounds_and_its_certificate() -> None:
    settings = Settings(
        rtmp_connections_limit=7,
        rtmp_connections_per_address_limit=3,
        trusted_proxies=("192.0.2.0/24",),
        rtmp_connect_timeout_seconds=4.0,
        rtmp_media_timeout_seconds=5.0,
        rtmp_silence_timeout_seconds=6.0,
        rtmp_buffer_seconds=1.5,
        rtmp_message_limit_bytes=100_000,
    )
    assert ingest_settings(settings, certificate=(Path("/c"), Path("/k"))) == IngestSettings(
        max_connections=7,
        max_connections_per_address=3,
        shared_networks=("192.0.2.0/24",),
        connect_timeout_seconds=4.0,
        media_timeout_seconds=5.0,
        silence_timeout_seconds=6.0,
        max_buffer_seconds=1.5,
        max_message_bytes=100_000,
        certificate_path="/c",
        private_key_path="/k",
    )


def test_ingest_has_the_same_bounds_by_default_as_by_settings() -> None:
    assert ingest_settings(Settings(), certificate=None) == IngestSettings()


def test_engines_bind_where_http_listens_unless_told() -> None:
    assert engine_settings(Settings(), host="127.0.0.1").bind_addresses == ("127.0.0.1",)
    told = engine_settings(Settings(media_bind=("192.0.2.1", "2001:db8::1")), host="127.0.0.1")
    assert told.bind_addresses == ("192.0.2.1", "2001:db8::1")


@pytest.mark.parametrize("seconds", [1.0, 300.0])
def test_engines_wait_longer_for_an_encoders_media_than_the_encoder_may_take(seconds: float) -> None:
    told = engine_settings(Settings(rtmp_media_timeout_seconds=seconds), host="127.0.0.1")
    assert told.feed_ticket_seconds > seconds + 30


def test_engines_are_told_codecs_and_the_bitrate_of_the_quotas() -> None:
    told = engine_settings(
        Settings(video_codecs=("VP8", "H264"), quota_overrides={"publish_bitrate_bps": 1_000}), host="127.0.0.1"
    )
    assert told.video_codecs == (Codec.VP8, Codec.H264)
    assert told.max_bitrate_bps == 1_000


def test_the_first_credential_is_the_folders_own(folder: DataFolder) -> None:
    own, reader = Secrets.read(folder, Settings(account_id="111122223333", credentials=(READER,))).credentials
    assert own.account_id == "111122223333"
    assert (reader.access_key_id, reader.account_id, reader.user_name) == (
        READER.access_key_id,
        READER.account_id,
        "reader",
    )


def test_all_secret_keys_are_kept_out_of_the_log(folder: DataFolder) -> None:
    secrets = Secrets.read(folder, Settings(credentials=(READER,)))
    assert set(secrets.never_to_be_logged()) == {secrets.access_key.secret_access_key, READER.secret_access_key}
    assert READER.secret_access_key not in repr(secrets)


@pytest.mark.parametrize("policy", [{"Statement": {"Effect": "Allow"}}, {"Rules": []}])
def test_a_policy_that_is_not_understood_is_refused(folder: DataFolder, policy: dict[str, object]) -> None:
    credential = Credential(
        access_key_id=READER.access_key_id,
        secret_access_key=READER.secret_access_key,
        account_id=READER.account_id,
        policy=policy,
    )
    with pytest.raises(ConfigError, match="setting credentials"):
        Secrets.read(folder, Settings(credentials=(credential,)))
