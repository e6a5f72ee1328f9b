"""The pings of a LiveKit deployment, and their result for `/health`.

Only servers with a LiveKit import this module: it needs the extra `livekit`.
"""

import asyncio
import time
from datetime import UTC, datetime

from stagebook.api.watch.health import LiveKitHealth
from stagebook.media.livekit.facts.livekit_pings import LiveKitPings, LiveKitState, Reachability, http_check
from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_http import livekit_client
from stagebook.media.livekit.room_service import RoomService


class LiveKitReachability:
    """Pings one deployment from `start` to `stop`."""

    def __init__(self, *, url: str, access: LiveKitAccess) -> None:
        """`url` is the deployment's HTTP URL, without a slash at the end."""
        # A client of its own, so that no other call delays a ping. A ping is two calls.
        self._client = livekit_client(max_connections=2)
        self._pings = LiveKitPings(
            RoomService(self._client, url=url, access=access),
            answers_http=http_check(self._client, url=url),
            monotonic=time.monotonic,
            wall_clock=time.time,
        )
        self._pinging: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to ping."""
        self._pinging = asyncio.create_task(self._pings.run())

    async def stop(self) -> None:
        """Stop to ping."""
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.gather(self._pinging, return_exceptions=True)
        await self._client.aclose()

    def state(self) -> LiveKitState | None:
        """Return the result of the newest ping; None before the first one."""
        return self._pings.state

    def is_reachable(self) -> bool | None:
        """Return whether LiveKit answers without errors; None before the first ping."""
        state = self._pings.state
        return None if state is None else state.reachability is Reachability.REACHABLE

    def health(self) -> LiveKitHealth | None:
        """Return the result of the newest ping; None before the first one."""
        state = self._pings.state
        if state is None:
            return None
        since = datetime.fromtimestamp(state.since_epoch_seconds, UTC)
        return LiveKitHealth(state=state.reachability.value, since=since.replace(microsecond=0))
