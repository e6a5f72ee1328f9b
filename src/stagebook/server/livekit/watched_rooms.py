"""The parts of a server that records an external LiveKit server: the client, the history, the webhook endpoint.

The libraries of LiveKit are an optional extra. They are imported late, so that other servers do not load them.
"""

import logging
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from jwt.warnings import InsecureKeyLengthWarning

from stagebook.api.livekit_counts import LiveKitCounts
from stagebook.book.store import BookReader
from stagebook.livekit_history.watched_livekit import WatchedLiveKit
from stagebook.manager.stage_manager import StageManager
from stagebook.server.router import LIVEKIT_WEBHOOK_PATH
from stagebook.server.system_clock import SystemClock

if TYPE_CHECKING:
    import httpx

    from stagebook.api.livekit_webhooks import DurableWebhooks
    from stagebook.livekit_history.room_history import RoomHistory
    from stagebook.server.livekit.livekit_reachability import LiveKitReachability


SAFE_SECRET_BYTES: Final = 32
"""HMAC with SHA-256 needs a key of this length (RFC 7518 section 3.2). `livekit-server --dev` has a shorter one."""


class WatchedRooms:
    """The running parts. `webhooks` is the application of the endpoint."""

    def __init__(
        self,
        watched: WatchedLiveKit,
        *,
        client: "httpx.AsyncClient",
        history: "RoomHistory",
        webhooks: "DurableWebhooks",
        reachability: "LiveKitReachability",
        now_ms: Callable[[], int],
    ) -> None:
        """`now_ms` is the monotonic clock of `history`."""
        self._watched = watched
        self._client = client
        self._history = history
        self._now_ms = now_ms
        self.webhooks = webhooks
        self.reachability = reachability

    def start(self) -> None:
        """Start to record."""
        self._history.start()
        self.reachability.start()

    async def stop(self) -> None:
        """Stop to record. Open sessions stay open in the book."""
        await self._history.stop()
        await self.reachability.stop()
        await self._client.aclose()

    def counts(self) -> LiveKitCounts:
        """Return the counts for the metrics."""
        polled_ms = self._history.polled_ms
        return LiveKitCounts(
            accepted_webhooks=self.webhooks.accepted,
            repeated_webhooks=self.webhooks.repeated,
            refused_webhooks=self.webhooks.refused,
            answered_polls=self._history.polls,
            failed_polls=self._history.failed_polls,
            answer_age_seconds=None if polled_ms is None else (self._now_ms() - polled_ms) / 1_000,
            is_reachable=self.reachability.is_reachable(),
        )

    def describe(self, *, public_url: str) -> str:
        """Return the lines of the startup banner about LiveKit."""
        lines = [
            f"  LiveKit      {self._watched.url}, read every {self._watched.poll_interval_seconds:g} s",
            "  webhooks     in livekit.yaml; without them, rooms are seen when they are read:",
            "                 webhook:",
            f"                   api_key: {self._watched.key.key}",
            "                   urls:",
            f"                     - {public_url}{LIVEKIT_WEBHOOK_PATH}",
        ]
        if len(self._watched.key.secret.encode()) < SAFE_SECRET_BYTES:
            lines.append(f"WARNING: the API secret has fewer than {SAFE_SECRET_BYTES} bytes: it can be guessed")
        return "\n".join(lines)


async def watched_rooms(
    manager: StageManager, watched: WatchedLiveKit, *, book: BookReader, account_id: str, is_distant: bool
) -> WatchedRooms:
    """Return the parts, not started yet. Let the stage manager leave the sessions of rooms open over a restart.

    `is_distant`: a read of `book` is a round trip to a database.
    """
    from stagebook.api.livekit_webhooks import DurableWebhooks
    from stagebook.livekit_history.room_history import RoomHistory
    from stagebook.media.livekit.livekit_access import LiveKitAccess
    from stagebook.media.livekit.livekit_http import livekit_client
    from stagebook.media.livekit.room_service import RoomService
    from stagebook.server.livekit.livekit_reachability import LiveKitReachability

    # The banner has this warning once. The library would repeat it for each token.
    warnings.simplefilter("ignore", InsecureKeyLengthWarning)
    # httpx logs each call at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    client = livekit_client(max_connections=4)
    # LiveKit checks tokens by the wall clock, not by the event clock.
    access = LiveKitAccess(watched.key, wall_clock=lambda: SystemClock().now_ms() / 1_000)
    history = RoomHistory(
        manager,
        RoomService(client, url=watched.url, access=access),
        book=book,
        watched=watched,
        account_id=account_id,
        is_distant=is_distant,
    )
    manager.observe(history)
    webhooks = DurableWebhooks(watched.key, record=history.on_webhook, monotonic=time.monotonic)
    return WatchedRooms(
        watched,
        client=client,
        history=history,
        webhooks=webhooks,
        reachability=LiveKitReachability(url=watched.url, access=access),
        now_ms=lambda: manager.now().monotonic_ms,
    )
