"""From settings to what each part is told."""

from pathlib import Path

import pytest

from stagebook.config import Credential, Settings
from stagebook.config_rules import ConfigError
from stagebook.keys import DataFolder
from stagebook.media.webrtc.codec import Codec
from stagebook.parts import Secrets, endpoints, engine_settings, public_address

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


@pytest.mark.parametrize(
    ("public_url", "events", "rtmps"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/events", "rtmps://127.0.0.1:443/app/"),
        ("https://example.com/ivs", "wss://example.com/ivs/events", "rtmps://example.com:443/app/"),
        ("http://[::1]:8080", "ws://[::1]:8080/events", "rtmps://[::1]:443/app/"),
    ],
)
def test_endpoints_follow_the_public_url(public_url: str, events: str, rtmps: str) -> None:
    made = endpoints(public_url)
    assert (made.whip, made.events, made.rtmps) == (f"{public_url}/whip", events, rtmps)


def test_engines_bind_where_http_listens_unless_told() -> None:
    assert engine_settings(Settings(), host="127.0.0.1").bind_addresses == ("127.0.0.1",)
    told = engine_settings(Settings(media_bind=("192.0.2.1", "2001:db8::1")), host="127.0.0.1")
    assert told.bind_addresses == ("192.0.2.1", "2001:db8::1")


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
