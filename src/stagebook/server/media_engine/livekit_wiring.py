"""The wiring of LiveKit as the media engine.

Only servers with LiveKit as the media engine import this module: it needs the extra `livekit`.
"""

import asyncio
import hashlib
import hmac
import secrets
import time

import structlog

from stagebook.api.livekit_counts import LiveKitCounts
from stagebook.api.livekit_webhooks import LiveKitWebhooks
from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.livekit.facts.livekit_polls import LiveKitPolls
from stagebook.media.livekit.facts.webhook_notes import note_event
from stagebook.media.livekit.livekit_access import LiveKitKey
from stagebook.media.livekit.livekit_engine import LiveKitEngine
from stagebook.media.livekit.livekit_probe import LiveKitUnusableError
from stagebook.media.livekit.livekit_settings import LiveKitSettings
from stagebook.media.livekit.room_service import RoomServiceError
from stagebook.media.livekit.untapped_recorder import UntappedRecorder
from stagebook.media.livekit.uplink.encoder_uplinks import EncoderUplinks
from stagebook.media.livekit.uplink.uplink_messages import UplinkSettings
from stagebook.media.livekit.uplink.uplink_pool import UplinkPool
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.server.livekit.livekit_reachability import LiveKitReachability
from stagebook.server.media_engine.media_process_settings import process_timeouts

_log = structlog.get_logger(__name__)


def livekit_settings(settings: Settings, *, page_token_secret: bytes) -> LiveKitSettings:
    """Return the settings of the engine. `page_token_secret` is the one of the data folder."""
    url, key, secret = settings.livekit_url, settings.livekit_api_key, settings.livekit_api_secret
    assert url and key and secret, "the settings were checked"  # noqa: S101, PT018 - for the type checker
    return LiveKitSettings(
        url=url,
        key=LiveKitKey(key=key, secret=secret),
        # Stable over restarts, and not guessable by other applications of the deployment.
        server_id=hmac.new(page_token_secret, b"rooms of LiveKit", hashlib.sha256).hexdigest()[:32],
        video_codecs=tuple(Codec[codec] for codec in settings.video_codecs),
        max_bitrate_bps=settings.limits.publish_bitrate_bps,
        max_connections=settings.media_connections_limit * settings.media_processes,
    )


class LiveKitMedia:
    """The engine, and the processes that send the media of encoders to it."""

    def __init__(self, settings: Settings, *, page_token_secret: bytes, user: ProcessUser | None) -> None:
        """The uplink processes run as `user`."""
        self.recorder = UntappedRecorder()
        of_livekit = livekit_settings(settings, page_token_secret=page_token_secret)
        self.engine = LiveKitEngine(of_livekit)
        self.webhooks = LiveKitWebhooks(
            of_livekit.key, on_event=lambda event: note_event(event, self.engine.rooms), monotonic=time.monotonic
        )
        self.reachability = LiveKitReachability(url=of_livekit.url, access=self.engine.access)
        self._polls = LiveKitPolls(
            self.engine.rooms,
            self.engine.poll_service,
            connect_timeout_seconds=settings.media_connect_timeout_seconds,
            livekit_state=self.reachability.state,
            monotonic=time.monotonic,
        )
        self._polling: asyncio.Task[None] | None = None
        self._uplinks = UplinkPool(
            UplinkSettings(whip_url=f"{settings.livekit_url}/whip/v1"),
            processes=settings.media_processes,
            user=user,
            timeouts=process_timeouts(settings),
        )
        self.engine.use_feeds(
            EncoderUplinks(
                self._uplinks,
                rooms=self.engine.rooms,
                service=self.engine,
                access=self.engine.access,
                new_id=lambda: secrets.token_hex(16),
                monotonic=time.monotonic,
            )
        )

    async def start(self, *, ends_former_rooms: bool) -> None:
        """Check the deployment. Raises ConfigError if it cannot be used. See `LiveKitEngine.start`."""
        try:
            warning = await self.engine.start(ends_former_rooms=ends_former_rooms)
        except (LiveKitUnusableError, RoomServiceError) as error:
            raise ConfigError(name="livekit_url", rule=str(error)) from error
        self.reachability.start()
        self._polling = asyncio.create_task(self._polls.run())
        if warning is not None:
            _log.warning("LiveKit has a version that is not tested", detail=warning)

    def counts(self) -> LiveKitCounts:
        """Return the counts for the metrics."""
        answered_at = self._polls.answered_at
        return LiveKitCounts(
            accepted_webhooks=self.webhooks.accepted,
            repeated_webhooks=self.webhooks.repeated,
            refused_webhooks=self.webhooks.refused,
            answered_polls=self._polls.answered,
            failed_polls=self._polls.failed,
            answer_age_seconds=None if answered_at is None else time.monotonic() - answered_at,
            is_reachable=self.reachability.is_reachable(),
        )

    async def stop(self) -> None:
        """Stop the uplink processes, and close what is still open in LiveKit."""
        if self._polling is not None:
            self._polling.cancel()
        await self.reachability.stop()
        await self._uplinks.stop()
        await self.engine.stop()
