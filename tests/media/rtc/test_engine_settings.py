"""The validation of the engine's settings."""

from typing import Any

import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.engine_settings import EngineSettings


def test_the_default_settings_are_valid() -> None:
    assert EngineSettings().consent_timeout_seconds == 15.0


@pytest.mark.parametrize(
    "settings",
    [
        {"bind_addresses": ()},
        {"udp_port": -1},
        {"udp_port": 65_536},
        {"consent_timeout_seconds": 0},
        {"connect_timeout_seconds": -1},
        {"max_connections": 0},
        {"video_codecs": ()},
        {"video_codecs": (Codec.OPUS,)},
        {"max_bitrate_bps": 0},
    ],
)
def test_invalid_settings_are_refused_with_their_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        EngineSettings(**settings)
