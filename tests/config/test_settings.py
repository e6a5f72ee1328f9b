"""Settings: one table, four sources in order, and refusals that name the setting, its source and the rule."""

from pathlib import Path
from typing import Any

import pytest

from stagebook.config.rules import ConfigError, parse_address
from stagebook.config.settings import SETTINGS, Settings
from stagebook.config.sources import load_settings
from stagebook.stage.limits import RELAXED, STRICT

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


def write(folder: Path, text: str) -> Path:
    path = folder / "stagebook.toml"
    path.write_text(text, encoding="utf-8")
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


def test_other_environment_variables_are_not_ours() -> None:
    assert load(environment={"PATH": "/bin", "XSTAGEBOOK_REGION": "x"}) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("0", False)],
)
def test_a_boolean_is_read_from_text(text: str, expected: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    assert load(environment={"STAGEBOOK_WHIP_REDIRECT": text}).whip_redirect is expected


def test_lists_are_split_at_commas_and_tables_at_equals_signs() -> None:
    settings = load(
        environment={
            "STAGEBOOK_MEDIA_ANNOUNCE": "203.0.113.7, 2001:db8::7",
            "STAGEBOOK_QUOTA_OVERRIDES": "stages=5, duration_seconds=60",
        }
    )
    assert settings.media_announce == ("203.0.113.7", "2001:db8::7")
    assert settings.quota_overrides == {"stages": 5, "duration_seconds": 60}


def test_limits_are_the_chosen_edition_with_its_overrides(tmp_path: Path) -> None:
    assert load().limits == RELAXED
    assert load(flags={"quotas": "strict"}).limits == STRICT
    file = write(tmp_path, 'quotas = "strict"\n[quota_overrides]\nstages = 7\n')
    limits = load(file=file).limits
    assert (limits.stages, limits.publishers_per_stage) == (7, STRICT.publishers_per_stage)


def test_credentials_come_from_the_file(tmp_path: Path) -> None:
    (credential,) = load(file=write(tmp_path, CREDENTIAL)).credentials
    assert credential.account_id == "210987654321"
    assert credential.policy == {"Statement": [{"Effect": "Allow", "Action": "ivs:*", "Resource": "*"}]}


def test_a_credential_never_shows_its_secret(tmp_path: Path) -> None:
    assert "a-secret-of-at-least-16" not in repr(load(file=write(tmp_path, CREDENTIAL)))


@pytest.mark.parametrize(
    ("name", "text", "rule"),
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
        ("events_order", "random", "one of newest_first, oldest_first"),
        ("websocket_ping_seconds", "0", "from 0.1 to 3600"),
        ("media_processes", "0", "from 1 to 64"),
        ("media_processes", "two", "a whole number from 1 to 64"),
        ("media_bind", "localhost", "IP addresses"),
        ("media_port", "65536", "from 0 to 65535"),
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
def test_a_value_that_breaks_its_rule_is_refused_by_name(name: str, text: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=f"setting {name}") as refused:
        load(environment={f"STAGEBOOK_{name.upper()}": text})
    assert rule in str(refused.value)


def test_the_refusal_names_the_source() -> None:
    with pytest.raises(ConfigError, match=r"\(from STAGEBOOK_MEDIA_PORT\)"):
        load(environment={"STAGEBOOK_MEDIA_PORT": "x"})
    with pytest.raises(ConfigError, match=r"\(from --media-port\)"):
        load(flags={"media_port": "x"})


def test_unknown_names_are_refused_in_every_source(tmp_path: Path) -> None:
    file = write(tmp_path, "colour = 1\n")
    for sources in ({"file": file}, {"environment": {"STAGEBOOK_COLOUR": "1"}}, {"flags": {"colour": "1"}}):
        with pytest.raises(ConfigError, match=r"setting colour .*there is no such setting"):
            load(**sources)


def test_the_file_must_have_the_right_types(tmp_path: Path) -> None:
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
def test_a_malformed_credential_is_refused_without_showing_it(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigError, match="setting credentials") as refused:
        load(file=write(tmp_path, CREDENTIAL.replace(old, new)))
    assert "a-secret-of-at-least-16" not in str(refused.value)


def test_an_access_key_may_be_there_only_once(tmp_path: Path) -> None:
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
def test_the_public_address_of_an_ingest_door_is_a_url(url: str) -> None:
    assert load(flags={"rtmps_public_url": url}).rtmps_public_url == url


@pytest.mark.parametrize("alone", ["rtmps_certificate", "rtmps_private_key"])
def test_a_certificate_and_its_key_go_together(alone: str) -> None:
    with pytest.raises(ConfigError, match=r"setting rtmps_certificate.* both or none"):
        load(flags={alone: "file.pem"})


@pytest.mark.parametrize("door", ["rtmp", "rtmps"])
def test_a_door_that_is_switched_off_has_no_public_address(door: str) -> None:
    with pytest.raises(ConfigError, match=f"setting {door}_public_url: needs {door}_listen"):
        load(flags={f"{door}_listen": "", f"{door}_public_url": f"{door}://example.com/app/"})


def test_engine_ports_must_fit_below_the_last_port() -> None:
    with pytest.raises(ConfigError, match="media_port"):
        Settings(media_port=65_535, media_processes=2)


@pytest.mark.parametrize(
    ("text", "host", "loopback", "wildcard"),
    [
        ("127.0.0.1:1", "127.0.0.1", True, False),
        ("[::1]:1", "::1", True, False),
        ("localhost:1", "localhost", True, False),
        ("0.0.0.0:1", "0.0.0.0", False, True),  # noqa: S104 - parsed, not bound
        ("[::]:1", "::", False, True),
        ("example.com:1", "example.com", False, False),
    ],
)
def test_an_address_knows_who_can_reach_it(
    text: str,
    host: str,
    loopback: bool,  # noqa: FBT001 - pytest gives it by name
    wildcard: bool,  # noqa: FBT001 - same
) -> None:
    address = parse_address(text)
    assert (address.host, address.is_loopback, address.is_wildcard) == (host, loopback, wildcard)
    assert str(address) == text


def test_every_setting_says_why_and_can_be_set_by_its_own_default() -> None:
    defaults: dict[str, Any] = {name: setting.default for name, setting in SETTINGS.items()}
    assert Settings(**defaults) == Settings()
    for setting in SETTINGS.values():
        assert setting.rule.why.endswith("."), setting.name
        assert setting.name.endswith("_seconds") == (setting.rule.unit == "seconds"), setting.name
        assert setting.name.endswith("_bytes") == (setting.rule.unit == "bytes"), setting.name
