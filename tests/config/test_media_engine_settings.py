"""The settings of LiveKit as the media engine."""

from pathlib import Path

import pytest

from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings

LIVEKIT = {
    "STAGEBOOK_MEDIA_ENGINE": "livekit",
    "STAGEBOOK_LIVEKIT_URL": "http://livekit.example.com:7880",
    "STAGEBOOK_LIVEKIT_API_KEY": "key",
    "STAGEBOOK_LIVEKIT_API_SECRET": "a, secret = of true",
}


def test_the_own_engine_needs_nothing() -> None:
    assert Settings().media_engine == "stagebook"


def test_the_secret_may_be_in_the_environment_as_it_is() -> None:
    settings = load_settings(flags={}, environment=LIVEKIT)
    assert (settings.media_engine, settings.livekit_api_secret) == ("livekit", "a, secret = of true")


def test_the_secret_may_be_in_the_file_and_not_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "stagebook.toml"
    path.write_text('livekit_api_secret = "hidden"\n', encoding="utf-8")
    assert load_settings(flags={}, environment={}, config_file=path).livekit_api_secret == "hidden"
    with pytest.raises(ConfigError, match="can only be set"):
        load_settings(flags={"livekit_api_secret": "hidden"}, environment={})


@pytest.mark.parametrize("missing", ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"])
def test_livekit_needs_its_url_and_its_key(missing: str) -> None:
    environment = {name: value for name, value in LIVEKIT.items() if name != f"STAGEBOOK_{missing}"}
    with pytest.raises(ConfigError) as caught:
        load_settings(flags={}, environment=environment)
    assert caught.value.name == missing.lower()


@pytest.mark.parametrize("url", ["livekit.example.com", "http://livekit.example.com/", "ws://livekit.example.com"])
def test_the_url_is_http(url: str) -> None:
    with pytest.raises(ConfigError, match="livekit_url"):
        Settings(livekit_url=url)
