"""The settings of compositions: channels, their URLs, and how many compositions run."""

from pathlib import Path

import pytest

from stagebook.config.rules import ConfigError
from stagebook.config.settings import SECRET_SETTINGS, Settings
from stagebook.config.sources import load_settings

ARN = "arn:aws:ivs:us-west-2:123456789012:channel/abcdABCDefgh"


def load(folder: Path, text: str) -> Settings:
    path = folder / "stagebook.toml"
    path.write_text(text)
    return load_settings(flags={}, environment={}, config_file=path)


def test_a_channel_has_a_url(tmp_path: Path) -> None:
    settings = load(tmp_path, f'[channels]\n"{ARN}" = "rtmps://ingest.example.com/app/hidden"\n')
    assert settings.channel_url(ARN) == "rtmps://ingest.example.com/app/hidden"
    assert settings.channel_url(ARN + "x") is None


@pytest.mark.parametrize(
    "line",
    [
        f'"{ARN}" = "http://ingest.example.com/app/hidden"',
        f'"{ARN}" = "rtmp://ingest.example.com/hidden"',
        '"my-channel" = "rtmp://ingest.example.com/app/hidden"',
        '"arn:aws:ivs:eu-west-1:123456789012:channel/abcdABCDefgh" = "rtmp://ingest.example.com/app/hidden"',
        "\n".join(f'"{ARN}{number}" = "rtmp://ingest.example.com/app/hidden"' for number in range(1_001)),
    ],
    ids=["scheme", "no application", "no ARN", "another region", "too many"],
)
def test_another_channel_is_refused_without_its_url(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match="setting channels") as refused:
        load(tmp_path, f"[channels]\n{line}\n")
    assert "hidden" not in str(refused.value)


def test_channels_hold_secrets() -> None:
    assert "channels" in SECRET_SETTINGS
