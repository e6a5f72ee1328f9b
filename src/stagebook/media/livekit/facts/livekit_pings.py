"""Whether a LiveKit deployment works: a ping every 2 s, and what its answers mean.

A call about a room fails for two reasons that need opposite reactions. The node of the room has failed: its media has
ended. Or LiveKit's API has failed, because its Redis has: the nodes forward media as before. A ping tells them apart,
because it concerns no room:

* REACHABLE: ListRooms was answered.
* FAILING: LiveKit, or a proxy in front of it, answers HTTP, but ListRooms fails. Without Redis LiveKit answers
  ListRooms by an error, and GET / by 406.
* UNREACHABLE: nothing answers. The process is gone or does not run, or the network is cut.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import httpx
import msgspec
import structlog

from stagebook.media.livekit.livekit_http import LiveKitCallError, call_livekit
from stagebook.media.livekit.room_service import RoomServiceError

PING_SECONDS: Final = 2.0
"""From the end of a ping to the begin of the next one."""
ANSWER_TIMEOUT_SECONDS: Final = 3.0
"""For the answer to GET /, for which LiveKit needs nothing but its own process."""
_ABSENT_ROOM: Final = "stagebook-check-absent"
"""A list of rooms by name takes the same time however many rooms there are."""
_MAX_BODY_SIZE_BYTES: Final = 64 * 1_024

_log = structlog.get_logger(__name__)


class Reachability(StrEnum):
    """What a deployment answers."""

    REACHABLE = "reachable"
    FAILING = "failing"
    UNREACHABLE = "unreachable"


class LiveKitState(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the newest ping. Times are monotonic, in seconds, unless they say otherwise."""

    reachability: Reachability
    since: float
    """The begin of the first ping with this result that no other result has followed."""
    since_epoch_seconds: float
    """`since` as seconds since the epoch."""
    pinged_at: float
    """The begin of the newest ping."""


class RoomList(Protocol):
    """What a ping calls (`room_service`)."""

    async def list_rooms(self, names: Sequence[str] = ()) -> Sequence[object]: ...


class LiveKitPings:
    """Pings one deployment. `state` is the result of the newest ping, None before the first one."""

    def __init__(
        self,
        service: RoomList,
        *,
        answers_http: Callable[[], Awaitable[bool]],
        monotonic: Callable[[], float],
        wall_clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`answers_http` returns whether anything answers at the deployment's URL. `wall_clock` returns seconds since
        the epoch. `sleep` waits for some seconds."""
        self.state: LiveKitState | None = None
        self._service = service
        self._answers_http = answers_http
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._sleep = sleep

    async def run(self) -> None:
        """Ping until cancelled."""
        while True:
            await self.ping()
            await self._sleep(PING_SECONDS)

    async def ping(self) -> None:
        """Ping once."""
        began_at, began_epoch_seconds = self._monotonic(), self._wall_clock()
        result, answers_http = await asyncio.gather(self._list_rooms(), self._answers_http())
        if result is Reachability.UNREACHABLE and answers_http:
            result = Reachability.FAILING
        known = self.state
        if known is not None and known.reachability is result:
            self.state = msgspec.structs.replace(known, pinged_at=began_at)
            return
        if known is not None:
            log = _log.info if result is Reachability.REACHABLE else _log.warning
            log("LiveKit's state has changed", state=result.value, former=known.reachability.value)
        self.state = LiveKitState(
            reachability=result, since=began_at, since_epoch_seconds=began_epoch_seconds, pinged_at=began_at
        )

    async def _list_rooms(self) -> Reachability:
        try:
            await self._service.list_rooms([_ABSENT_ROOM])
        except RoomServiceError as error:
            return Reachability.FAILING if error.is_answered else Reachability.UNREACHABLE
        return Reachability.REACHABLE


def http_check(client: httpx.AsyncClient, *, url: str) -> Callable[[], Awaitable[bool]]:
    """Return a check of whether anything answers at a deployment's URL, by any status."""

    async def answers_http() -> bool:
        try:
            await call_livekit(
                client,
                "GET",
                f"{url}/",
                content=b"",
                headers={},
                timeout_seconds=ANSWER_TIMEOUT_SECONDS,
                max_size_bytes=_MAX_BODY_SIZE_BYTES,
            )
        except LiveKitCallError as error:
            return error.is_answered
        return True

    return answers_http
