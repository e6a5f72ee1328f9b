"""Settings of compositions: how many may run, and the channels that they may be sent to."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import msgspec

from stagebook.config.recording_settings import RecordingSettings
from stagebook.config.rules import Rule
from stagebook.media.rtmp.push.push_address import parse_push_url

MAX_CHANNELS: Final = 1_000
_CHANNEL_ARN: Final = re.compile(r"arn:aws:ivs:(?P<region>[a-z0-9-]+):[0-9]{12}:channel/[a-zA-Z0-9-]+", re.ASCII)


class CompositionSettings(RecordingSettings, frozen=True, kw_only=True):
    """The fifth part of `Settings`. `Settings` checks the values."""

    max_compositions: Annotated[
        int,
        Rule(
            description="Maximum number of compositions at the same time, each with a process of its own. "
            "StartComposition refuses further ones with ServiceQuotaExceededException. 0: one for each CPU core.",
            minimum=0,
            maximum=1_000,
        ),
    ] = 0
    channels: Annotated[
        dict[str, str],
        Rule(
            description="RTMP or RTMPS URL of each channel that compositions may be sent to, by channel ARN; only in "
            "the TOML file.",
            requirement=f"a table of at most {MAX_CHANNELS} channel ARNs, each with a URL such as "
            "rtmps://HOST/APPLICATION/STREAM_KEY",
            accepts=lambda value: len(value) <= MAX_CHANNELS and all(map(_is_channel, value, value.values())),
        ),
    ] = msgspec.field(default_factory=dict)

    def _channel_conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield the violation of a channel of another region."""
        if any(arn.split(":")[3] != self.region for arn in self.channels):
            yield "channels", f"must name channels of the server's region, {self.region}"

    def channel_url(self, channel_arn: str) -> str | None:
        """Return the URL of a channel; None without one. It may hold a stream key."""
        return self.channels.get(channel_arn)


def channel_secrets(channels: Mapping[str, str]) -> list[str]:
    """Return what of the URLs is secret: the stream names."""
    return [parse_push_url(url).stream_name for url in channels.values()]


def _is_channel(arn: str, url: str) -> bool:
    try:
        parse_push_url(url)
    except ValueError:
        return False
    return _CHANNEL_ARN.fullmatch(arn) is not None
