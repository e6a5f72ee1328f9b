"""Settings: the order of the sources, and errors that name the setting, its source and the requirement."""

from pathlib import Path
from typing import Any

import pytest

from stagebook.config.rules import ConfigError, parse_address
from stagebook.config.settings import SETTINGS, Settings
from stagebook.config.sources import load_settings
from stagebook.stage.limits import RELAXED, STRICT
from stagebook.storage.storage_settings import S3Storage

CREDENTIAL = """
[[credentials]]
access_key_id = "AKIAEXAMPLEEXAMPLE00"
secret_access_key = "a-secret-of-at-least-16"
account_id = "210987654321"
[[credentials.policy.Statement]]
Effect = "Allow"
Action = "ivs:*"
Resource = "*"
"""


def write(folder: Path, content: str) -> Path:
    path = folder / "stagebook.toml"
    path.write_text(content, encoding="utf-8")
    return path


def load(
    *, flags: dict[str, str] | None = None, environment: dict[str, str] | None = None, file: Path | None = None
) -> Settings:
    return load_settings(flags=flags or {}, environment=environment or {}, config_file=file)


def test_without_sources_every_setting_has_its_default() -> None:
    assert load() == Settings()
    assert str(load().address) == "127.0.0.1:8080"


def test_a_later_source_wins(tmp_path: Path) -> None:
    file = write(tmp_path, 'region = "eu-central-1"\nmedia_processes = 2\nlog_level = "error"\n')
    settings = load(
        file=file,
        environment={"STAGEBOOK_MEDIA_PROCESSES": "3", "STAGEBOOK_LOG_LEVEL": "debug"},
        flags={"log_level": "warning"},
    )
    assert (settings.region, settings.media_processes, settings.log_level) == ("eu-central-1", 3, "warning")


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'region = "eu-central-1"\n')
    assert load(environment={"STAGEBOOK_CONFIG": str(file)}).region == "eu-central-1"


def test_other_environment_variables_are_ignored() -> None:
    assert load(environment={"PATH": "/bin", "XSTAGEBOOK_REGION": "x"}) == Settings()


@pytest.mark.parametrize(
    ("string", "expected"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("0", False)],
)
def test_a_boolean_is_read_from_a_string(string: str, expected: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    assert load(environment={"STAGEBOOK_WHIP_REDIRECT": string}).whip_redirect is expected


def test_lists_are_split_at_commas_and_tables_at_equals_signs() -> None:
    settings = load(
        environment={
            "STAGEBOOK_MEDIA_ANNOUNCE": "203.0.113.7, 2001:db8::7",
            "STAGEBOOK_QUOTA_OVERRIDES": "stages=5, duration_seconds=60",
        }
    )
    assert settings.media_announce == ("203.0.113.7", "2001:db8::7")
    assert settings.quota_overrides == {"stages": 5, "duration_seconds": 60}


STAGE_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"


def test_retention_is_set_by_account_and_by_stage_in_the_file_and_in_the_environment(tmp_path: Path) -> None:
    overrides = {"210987654321": 30, STAGE_ARN: 0}
    file = write(tmp_path, f'[retention_overrides]\n"210987654321" = 30\n"{STAGE_ARN}" = 0\n')
    assert load(file=file).retention_overrides == overrides
    environment = {"STAGEBOOK_RETENTION_OVERRIDES": f"210987654321=30,{STAGE_ARN}=0"}
    assert load(environment=environment).retention_overrides == overrides


def test_limits_are_the_chosen_edition_with_the_overrides(tmp_path: Path) -> None:
    assert load().limits == RELAXED
    assert load(flags={"quotas": "strict"}).limits == STRICT
    file = write(tmp_path, 'quotas = "strict"\n[quota_overrides]\nstages = 7\n')
    limits = load(file=file).limits
    assert (limits.stages, limits.publishers_per_stage) == (7, STRICT.publishers_per_stage)


def test_credentials_are_read_from_the_file(tmp_path: Path) -> None:
    (credential,) = load(file=write(tmp_path, CREDENTIAL)).credentials
    assert credential.account_id == "210987654321"
    assert credential.policy == {"Statement": [{"Effect": "Allow", "Action": "ivs:*", "Resource": "*"}]}


def test_the_repr_of_a_credential_does_not_contain_the_secret(tmp_path: Path) -> None:
    assert "a-secret-of-at-least-16" not in repr(load(file=write(tmp_path, CREDENTIAL)))


@pytest.mark.parametrize(
    ("name", "value", "requirement"),
    [
        ("listen", "8080", "HOST:PORT"),
        ("listen", "127.0.0.1:70000", "HOST:PORT"),
        ("listen", "::1:8080", "HOST:PORT"),
        ("data", "", "a path"),
        ("public_url", "ftp://example.com", "http or https"),
        ("public_url", "https://example.com/", "trailing slash"),
        ("public_url", "https://example.com:99999", "http or https"),
        ("public_url", "https://user@example.com", "user name"),
        ("region", "US WEST", "region name"),
        ("account_id", "12345", "12 digits"),
        ("auth", "yes", "one of on, off"),
        ("allowed_origins", "https://example.com/path", "origins"),
        ("trusted_proxies", "proxy.local", "IP addresses or networks"),
        ("whip_redirect", "maybe", "true or false"),
        ("quotas", "none", "one of strict, relaxed"),
        ("quota_overrides", "unicorns=5", "named by stages"),
        ("quota_overrides", "stages=0", "at least 1"),
        ("quota_overrides", "stages=many", "whole numbers"),
        ("session_linger_seconds", "-1", "from 0 to 3600"),
        ("session_linger_seconds", "nan", "from 0 to 3600"),
        ("retention_days", "-1", "from 0 to 36500"),
        ("retention_days", "1.5", "a whole number from 0 to 36500"),
        ("retention_overrides", "12345=7", "account ids of 12 digits or stage ARNs"),
        ("retention_overrides", "123456789012", "whole numbers of days"),
        ("retention_overrides", "123456789012=-1", "from 0 (for ever)"),
        ("retention_overrides", "123456789012=36501", "to 36500"),
        ("retention_overrides", "arn:aws:ivs:us-west-2:123456789012:public-key/a=7", "stage ARNs"),
        ("retention_overrides", "arn:aws:ivs:eu-west-1:123456789012:stage/a=7", "region, us-west-2"),
        ("events_order", "random", "one of newest_first, oldest_first"),
        ("websocket_ping_seconds", "0", "from 0.1 to 3600"),
        ("media_processes", "0", "from 1 to 64"),
        ("media_processes", "two", "a whole number from 1 to 64"),
        ("media_bind", "localhost", "IP addresses"),
        ("media_port", "65536", "from 0 to 65535"),
        ("media_tcp", "maybe", "true or false"),
        ("media_tcp_port", "65536", "from 0 to 65535"),
        ("media_tcp_port", "none", "a whole number from 0 to 65535"),
        ("video_codecs", "AV1", "H264 and VP8"),
        ("video_codecs", "", "at least one"),
        ("offer_limit_bytes", "12", "from 1024"),
        ("rtmp_listen", "1935", "empty for none"),
        ("rtmps_listen", "127.0.0.1:70000", "HOST:PORT"),
        ("rtmps_certificate", "", "a path"),
        ("rtmp_public_url", "rtmps://example.com/app/", "such as rtmp://"),
        ("rtmp_public_url", "rtmp://example.com/app", "/app/"),
        ("rtmp_public_url", "rtmp://example.com/live/", "/app/"),
        ("rtmp_public_url", "rtmp://user@example.com/app/", "such as"),
        ("rtmps_public_url", "rtmps://example.com:443/app/?key=", "/app/"),
        ("rtmps_public_url", "rtmps://example.com:0/app/", "such as rtmps://"),
        ("rtmps_public_url", "rtmps:///app/", "such as"),
        ("rtmp_connections_limit", "0", "from 1 to 10000"),
        ("rtmp_silence_timeout_seconds", "0", "from 1 to 300"),
        ("rtmp_message_limit_bytes", "99999999", "from 65536"),
        ("log_form", "xml", "one of text, json"),
    ],
)
def test_a_value_that_violates_its_rule_is_refused_by_name(name: str, value: str, requirement: str) -> None:
    with pytest.raises(ConfigError, match=f"setting {name}") as refused:
        load(environment={f"STAGEBOOK_{name.upper()}": value})
    assert requirement in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, 0),
        ({"media_port": 50_000}, 50_000),
        ({"media_port": 50_000, "media_tcp_port": 443}, 443),
        ({"media_port": 50_000, "media_tcp_port": 0}, 0),
        ({"media_port": 50_000, "media_tcp": False}, None),
    ],
)
def test_the_tcp_port_of_media_is_that_of_udp_unless_it_is_set(settings: dict[str, int], port: int | None) -> None:
    assert Settings(**settings).tcp_media_port == port  # type: ignore[arg-type]  # settings of two types


def test_the_error_names_the_source() -> None:
    with pytest.raises(ConfigError, match=r"\(from STAGEBOOK_MEDIA_PORT\)"):
        load(environment={"STAGEBOOK_MEDIA_PORT": "x"})
    with pytest.raises(ConfigError, match=r"\(from --media-port\)"):
        load(flags={"media_port": "x"})


def test_unknown_names_are_refused_in_every_source(tmp_path: Path) -> None:
    file = write(tmp_path, "colour = 1\n")
    for sources in ({"file": file}, {"environment": {"STAGEBOOK_COLOUR": "1"}}, {"flags": {"colour": "1"}}):
        with pytest.raises(ConfigError, match=r"setting colour .*there is no such setting"):
            load(**sources)


def test_a_value_of_a_wrong_type_in_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"media_port .* a whole number"):
        load(file=write(tmp_path, 'media_port = "3478"\n'))
    with pytest.raises(ConfigError, match=r"region .* a region name"):
        load(file=write(tmp_path, "region = 5\n"))


@pytest.mark.parametrize(
    ("content", "rule"), [(b"listen = ", "is not TOML"), (b"\xff\xfe", "UTF-8"), (b"#" * 2_000_000, "too large")]
)
def test_an_unreadable_file_is_refused(tmp_path: Path, content: bytes, rule: str) -> None:
    path = tmp_path / "stagebook.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rule):
        load(file=path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file=tmp_path / "missing.toml")


def test_credentials_are_refused_outside_the_file() -> None:
    with pytest.raises(ConfigError, match="only be set in the TOML file"):
        load(environment={"STAGEBOOK_CREDENTIALS": "AKIA"})


@pytest.mark.parametrize(
    ("old", "new"),
    [('"210987654321"', '"x"'), ('"AKIAEXAMPLEEXAMPLE00"', '"short"'), ('"a-secret-of-at-least-16"', '"x"')],
)
def test_a_malformed_credential_is_refused_and_the_secret_not_shown(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigError, match="setting credentials") as refused:
        load(file=write(tmp_path, CREDENTIAL.replace(old, new)))
    assert "a-secret-of-at-least-16" not in str(refused.value)


def test_a_duplicate_access_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="once"):
        load(file=write(tmp_path, CREDENTIAL + CREDENTIAL))


def test_rtmp_can_be_switched_off() -> None:
    settings = load(flags={"rtmp_listen": "", "rtmps_listen": ""})
    assert (settings.rtmp_address, settings.rtmps_address) == (None, None)


def test_rtmp_is_on_by_default() -> None:
    settings = load()
    assert (str(settings.rtmp_address), str(settings.rtmps_address)) == ("127.0.0.1:1935", "127.0.0.1:1936")


@pytest.mark.parametrize(
    "url", ["rtmps://ingest.example.com:443/app/", "rtmps://ingest.example.com/app/", "rtmps://[2001:db8::1]:443/app/"]
)
def test_a_valid_public_ingest_url_is_accepted(url: str) -> None:
    assert load(flags={"rtmps_public_url": url}).rtmps_public_url == url


@pytest.mark.parametrize("alone", ["rtmps_certificate", "rtmps_private_key"])
def test_a_certificate_without_its_key_is_refused(alone: str) -> None:
    with pytest.raises(ConfigError, match=r"setting rtmps_certificate.* both or none"):
        load(flags={alone: "file.pem"})


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
def test_a_public_url_of_a_server_that_is_switched_off_is_refused(scheme: str) -> None:
    with pytest.raises(ConfigError, match=f"setting {scheme}_public_url: needs {scheme}_listen"):
        load(flags={f"{scheme}_listen": "", f"{scheme}_public_url": f"{scheme}://example.com/app/"})


def test_the_ports_of_all_engine_processes_must_exist() -> None:
    with pytest.raises(ConfigError, match="media_port"):
        Settings(media_port=65_535, media_processes=2)


@pytest.mark.parametrize(
    ("string", "host", "loopback", "wildcard"),
    [
        ("127.0.0.1:1", "127.0.0.1", True, False),
        ("[::1]:1", "::1", True, False),
        ("localhost:1", "localhost", True, False),
        ("0.0.0.0:1", "0.0.0.0", False, True),  # noqa: S104 - parsed, not bound
        ("[::]:1", "::", False, True),
        ("example.com:1", "example.com", False, False),
    ],
)
def test_loopback_and_wildcard_addresses_are_recognised(
    string: str,
    host: str,
    loopback: bool,  # noqa: FBT001 - pytest gives it by name
    wildcard: bool,  # noqa: FBT001 - same
) -> None:
    address = parse_address(string)
    assert (address.host, address.is_loopback, address.is_wildcard) == (host, loopback, wildcard)
    assert str(address) == string


def test_every_setting_has_a_description_a_unit_and_a_valid_default() -> None:
    defaults: dict[str, Any] = {name: setting.default for name, setting in SETTINGS.items()}
    assert Settings(**defaults) == Settings()
    for setting in SETTINGS.values():
        assert setting.rule.description.endswith("."), setting.name
        assert setting.name.endswith("_seconds") == (setting.rule.unit == "seconds"), setting.name
        assert setting.name.endswith("_bytes") == (setting.rule.unit == "bytes"), setting.name


def test_s3_needs_both_halves_of_an_access_key(tmp_path: Path) -> None:
    half = write(tmp_path, 'storage = "s3"\nstorage_s3_access_key_id = "key"\n')
    with pytest.raises(ConfigError, match="storage_s3_access_key_id: must be set together"):
        load(file=half)
    with pytest.raises(ConfigError, match='storage_s3_endpoint: needs storage = "s3"'):
        load(environment={"STAGEBOOK_STORAGE_S3_ENDPOINT": "http://127.0.0.1:9000"})


def test_the_secret_of_s3_is_set_in_the_file_only_and_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only be set in the TOML file"):
        load(environment={"STAGEBOOK_STORAGE_S3_SECRET_ACCESS_KEY": "hidden"})
    file = write(
        tmp_path, 'storage = "s3"\nstorage_s3_access_key_id = "key"\nstorage_s3_secret_access_key = "hidden"\n'
    )
    storage = load(file=file).object_storage(tmp_path)
    assert "hidden" not in repr(storage)
    assert storage == S3Storage(region="us-west-2", access_key_id="key", secret_access_key="hidden")
