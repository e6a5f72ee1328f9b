"""The settings that the media processes get from those of the server."""

import os
import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.rtmps_certificate import VALIDITY
from stagebook.data_folder.secrets import DataFolder
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.server.media_engine.media_process_settings import (
    engine_settings,
    ingest_process_count,
    ingest_settings,
    media_process_user,
    rtmps_certificate_files,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


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
def test_the_self_signed_certificate_names_every_host_that_encoders_may_use(
    folder: DataFolder, settings: Settings, hosts: set[str]
) -> None:
    files = rtmps_certificate_files(settings, folder=folder, now=NOW)
    assert files == (folder.certificate_path, folder.certificate_key_path)
    assert certified_hosts(folder.certificate_path) == {"localhost", "127.0.0.1", "::1"} | hosts


def test_without_rtmps_no_certificate_is_generated(folder: DataFolder) -> None:
    assert rtmps_certificate_files(Settings(rtmps_listen=""), folder=folder, now=NOW) is None
    assert not folder.certificate_path.exists()


def test_a_configured_certificate_is_used_unchanged(folder: DataFolder, tmp_path: Path) -> None:
    folder.prepare_certificate(hosts=["localhost"], now=NOW)
    configured = [path.rename(tmp_path / path.name) for path in (folder.certificate_path, folder.certificate_key_path)]
    settings = Settings(rtmps_certificate=str(configured[0]), rtmps_private_key=str(configured[1]))
    assert rtmps_certificate_files(settings, folder=folder, now=NOW) == tuple(configured)
    assert not folder.certificate_path.exists()


def test_an_expired_configured_certificate_is_used_with_a_warning(folder: DataFolder) -> None:
    folder.prepare_certificate(hosts=["localhost"], now=NOW)
    configured = (str(folder.certificate_path), str(folder.certificate_key_path))
    settings = Settings(rtmps_certificate=configured[0], rtmps_private_key=configured[1])
    with capture_logs() as lines:
        assert rtmps_certificate_files(settings, folder=folder, now=NOW + VALIDITY + timedelta(days=1)) is not None
    assert [line["log_level"] for line in lines] == ["warning"]


@pytest.mark.parametrize(
    ("settings", "cores", "processes"),
    [
        (Settings(), 1, 1),
        (Settings(), 2, 1),
        (Settings(), 3, 1),
        (Settings(), 4, 2),
        (Settings(), 16, 4),
        (Settings(media_processes=4), 8, 3),
        (Settings(media_processes=8), 4, 1),
        (Settings(ingest_processes=7), 2, 7),
        (Settings(ingest_processes=1), 16, 1),
    ],
)
def test_the_ingest_processes_use_the_cores_that_are_left(settings: Settings, cores: int, processes: int) -> None:
    assert ingest_process_count(settings, cores=cores) == processes


def test_the_ingest_process_gets_its_limits() -> None:
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
    assert ingest_settings(settings) == IngestSettings(
        max_connections=7,
        max_connections_per_address=3,
        shared_networks=("192.0.2.0/24",),
        connect_timeout_seconds=4.0,
        media_timeout_seconds=5.0,
        silence_timeout_seconds=6.0,
        max_buffer_seconds=1.5,
        max_message_bytes=100_000,
    )


def test_the_defaults_of_the_settings_are_those_of_the_ingest_process() -> None:
    assert ingest_settings(Settings()) == IngestSettings()


def account(name: str, *, user_id: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", user_id, 7_000, "", "/", "/bin/false"))


@pytest.mark.parametrize(
    ("setting", "name"), [(None, "nobody"), ("media", "media")], ids=["the default", "a user of its own"]
)
def test_media_processes_of_root_become_another_user(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, name: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", {name: account(name, user_id=6_000)}.__getitem__)
    assert media_process_user(Settings(media_user=setting)) == ProcessUser(user_id=6_000, group_id=7_000)


def test_an_empty_media_user_keeps_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert media_process_user(Settings(media_user="")) is None


@pytest.mark.parametrize("setting", ["unknown", "alias"])
def test_a_media_user_must_exist_and_not_be_root(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", {"alias": account("alias", user_id=0)}.__getitem__)
    with pytest.raises(ConfigError, match="media_user"):
        media_process_user(Settings(media_user=setting))


def test_media_processes_of_another_user_than_root_keep_that_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert media_process_user(Settings()) is None
    with pytest.raises(ConfigError, match="root"):
        media_process_user(Settings(media_user="nobody"))


def test_engines_bind_the_http_host_unless_media_bind_is_set() -> None:
    assert engine_settings(Settings(), host="127.0.0.1").bind_addresses == ("127.0.0.1",)
    engine = engine_settings(Settings(media_bind=("192.0.2.1", "2001:db8::1")), host="127.0.0.1")
    assert engine.bind_addresses == ("192.0.2.1", "2001:db8::1")


@pytest.mark.parametrize("seconds", [1.0, 300.0])
def test_a_feed_ticket_outlives_the_media_timeout_of_an_encoder(seconds: float) -> None:
    engine = engine_settings(Settings(rtmp_media_timeout_seconds=seconds), host="127.0.0.1")
    assert engine.feed_ticket_seconds > seconds + 30


def test_engines_get_the_codecs_and_the_bitrate_quota() -> None:
    engine = engine_settings(
        Settings(video_codecs=("VP8", "H264"), quota_overrides={"publish_bitrate_bps": 1_000}), host="127.0.0.1"
    )
    assert engine.video_codecs == (Codec.VP8, Codec.H264)
    assert engine.max_bitrate_bps == 1_000
