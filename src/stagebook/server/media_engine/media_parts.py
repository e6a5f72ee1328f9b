"""The media of a running server: its engine processes or LiveKit, and the ingest, recorder and composition processes.

start:  LiveKit, if the settings have it -> engine processes, in the background -> recorder process, if one is needed
end:    in the reverse order

The ingest processes start last, when the stage manager can admit encoders: `start_ingest`.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.media.composition.composition_port import CompositionEngine
from stagebook.media.composition.processes.composition_pool import CompositionPool
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.ingest.tls_certificate import CertificateFiles
from stagebook.media.media_router import MediaRouter
from stagebook.media.port import MediaEngine
from stagebook.media.recording.processes.recorder_pool import RecorderPool
from stagebook.media.recording.recording_port import RecordingEngine
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.simulated.mixed_media import MixedMedia
from stagebook.media.simulated.silent_feeds import SilentFeeds
from stagebook.server.controlled_parts import ControlledParts
from stagebook.server.listen_sockets import ListenSockets
from stagebook.server.media_engine.media_process_settings import (
    build_compositions,
    build_recorders,
    engine_settings,
    ingest_process_count,
    ingest_settings,
    media_process_user,
    process_timeouts,
    rtmps_certificate_files,
)

if TYPE_CHECKING:
    from stagebook.server.media_engine.livekit_wiring import LiveKitMedia


class MediaParts:
    """The media processes of a server. `open` creates and starts them."""

    engines: EnginePool
    livekit: "LiveKitMedia | None"
    ingest: IngestPool | None
    compositions: CompositionPool
    recorders: RecorderPool

    def __init__(
        self,
        settings: Settings,
        *,
        folder: DataFolder,
        page_token_secret: bytes,
        sockets: ListenSockets,
        controlled: ControlledParts | None,
        on_demand: bool,
    ) -> None:
        """`controlled` is that of a server with `--testing`. With `on_demand`, processes start when they are needed."""
        self._settings = settings
        self._folder = folder
        self._page_token_secret = page_token_secret
        self._sockets = sockets
        self._controlled = controlled
        self._on_demand = on_demand
        self._user = media_process_user(settings)

    async def open(self, parts: AsyncExitStack) -> None:
        """Create the parts, and start the engine processes in the background. `parts` stops them.

        Raises ConfigError if LiveKit cannot be used. Must be called while the book is open: its lock ensures that no
        other server uses the data folder, in which a certificate may be generated.
        """
        self.livekit = await self._start_livekit(parts)
        self.engines = EnginePool(
            engine_settings(self._settings, host=self._sockets.http.getsockname()[0]),
            processes=self._settings.media_processes,
            user=self._user,
            on_demand=self._on_demand or self.livekit is not None,
            timeouts=process_timeouts(self._settings),
        )
        # The processes take about as long to start as recovery takes for thousands of participants: side by side.
        self._engines_start = asyncio.create_task(self.engines.start())
        parts.push_async_callback(self.engines.stop)
        parts.callback(self._engines_start.cancel)
        self.compositions = build_compositions(
            self._settings, engines=self.engines, folder=self._folder, user=self._user, cores=_usable_cores()
        )
        parts.push_async_callback(self.compositions.stop)
        self.recorders = build_recorders(self._settings, engines=self.engines, folder=self._folder, user=self._user)
        parts.push_async_callback(self.recorders.stop)
        self.ingest = self._build_ingest()

    async def note_former(self) -> None:
        """Remember what an earlier run of this data folder has recorded, for accounts that are recovered later.

        The processes of `finish_start` complete and delete it.
        """
        await self.recorders.note_former()
        await self.compositions.note_former()

    async def finish_start(self) -> None:
        """Wait for the engine processes, and start to record. Called after recovery."""
        await self._engines_start
        self.compositions.complete_leftovers()
        await self.recorders.start()

    async def start_ingest(self, parts: AsyncExitStack) -> None:
        """Accept encoders. They reconnect at once, so the stage manager must have been started."""
        if self.ingest is not None:
            await self.ingest.start()
            parts.push_async_callback(self.ingest.stop)

    def end_former_media(self, account_id: str) -> None:
        """End what goes on in LiveKit for an account that this node has just taken from another one."""
        if self.livekit is not None:
            self.livekit.engine.end_former_rooms(account_id)

    @property
    def description(self) -> str:
        """What forwards media, for the operator."""
        return self.engines.describe() if self.livekit is None else self.livekit.engine.describe()

    def engine(self) -> MediaEngine:
        """Return the real engines, and with `--testing` those of participants without media as well."""
        real = MediaRouter(self.engines if self.livekit is None else self.livekit.engine, self.ingest)
        if self._controlled is None:
            return real
        return MixedMedia(real, self._controlled.simulated, SilentFeeds(self.engines))

    def recorder(self) -> RecordingEngine:
        """Return the real recorder, and with `--testing` that of participants without media as well."""
        real = self.recorders if self.livekit is None else self.livekit.recorder
        return real if self._controlled is None else self._controlled.with_recorder(real)

    def composer(self) -> CompositionEngine | None:
        """Return the real composer, and with `--testing` that of participants without media as well.

        With LiveKit there is none: its media cannot be tapped.
        """
        if self.livekit is not None:
            return None
        return self.compositions if self._controlled is None else self._controlled.with_composer(self.compositions)

    async def _start_livekit(self, parts: AsyncExitStack) -> "LiveKitMedia | None":
        """Return LiveKit as the media engine, if the settings have it. Raises ConfigError if it cannot be used."""
        if self._settings.media_engine != "livekit":
            return None
        try:
            # Imported late: it needs the extra, and its libraries take long to load.
            from stagebook.server.media_engine.livekit_wiring import LiveKitMedia
        except ImportError as error:
            rule = f"livekit needs the extra: pip install 'stagebook[livekit]' ({error})"
            raise ConfigError(name="media_engine", rule=rule) from error
        media = LiveKitMedia(self._settings, page_token_secret=self._page_token_secret, user=self._user)
        parts.push_async_callback(media.stop)
        # The nodes of a cluster share a deployment: the rooms of an account are ended when a node takes it.
        await media.start(ends_former_rooms=self._settings.book == "sqlite")
        return media

    def _build_ingest(self) -> IngestPool | None:
        """Return the ingest pool, not started yet, or None if RTMP and RTMPS are switched off."""
        rtmp, rtmps = self._sockets.rtmp, self._sockets.rtmps
        if rtmp is None and rtmps is None:
            return None
        files = rtmps_certificate_files(self._settings, folder=self._folder, now=datetime.now(UTC))
        return IngestPool(
            ingest_settings(self._settings),
            processes=ingest_process_count(self._settings, cores=_usable_cores()),
            rtmp=rtmp,
            rtmps=rtmps,
            certificate=None if files is None else CertificateFiles(*files),
            user=self._user,
            on_demand=self._on_demand,
            timeouts=process_timeouts(self._settings),
        )


def _usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
