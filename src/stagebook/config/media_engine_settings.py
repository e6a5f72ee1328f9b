"""Settings of the engine that forwards media: Stagebook's own processes, or a LiveKit deployment."""

from collections.abc import Iterator
from typing import Annotated, Literal

from stagebook.config.composition_settings import CompositionSettings
from stagebook.config.rules import Rule, is_base_url


class MediaEngineSettings(CompositionSettings, frozen=True, kw_only=True):
    """The sixth part of `Settings`. `Settings` checks the values."""

    media_engine: Annotated[
        Literal["stagebook", "livekit"],
        Rule(
            description="What forwards media: the engine processes of this server (`stagebook`), or a LiveKit "
            "deployment (`livekit`). LiveKit needs the extra `livekit`."
        ),
    ] = "stagebook"
    livekit_url: Annotated[
        str | None,
        Rule(
            description="Base URL of LiveKit. Peers do not use it: they get LiveKit's addresses for media in answers.",
            requirement="an http or https URL without a trailing slash, query or user name",
            unit="URL",
            accepts=lambda value: value is None or is_base_url(value),
        ),
    ] = None
    livekit_api_key: Annotated[
        str | None,
        Rule(
            description="Name of an API key of LiveKit, one of its `keys`.",
            requirement="the name of an API key",
            accepts=lambda value: value != "",
        ),
    ] = None
    livekit_api_secret: Annotated[
        str | None,
        Rule(
            description="Secret of `livekit_api_key`; only in the TOML file or the environment.",
            requirement="an API secret",
            accepts=lambda value: value != "",
        ),
    ] = None

    def _media_engine_conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what LiveKit as the media engine needs and is not set."""
        if self.media_engine != "livekit":
            return
        for name in ("livekit_url", "livekit_api_key", "livekit_api_secret"):
            if getattr(self, name) is None:
                yield name, 'must be set with media_engine = "livekit"'
