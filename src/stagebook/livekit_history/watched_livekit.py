"""The settings of `stagebook livekit watch`: the LiveKit server, the interval of polls, and the limits."""

from typing import Final

import msgspec

from stagebook.media.livekit.livekit_access import LiveKitKey

POLL_INTERVAL_SECONDS: Final = 10.0
MIN_POLL_INTERVAL_SECONDS: Final = 0.1
CALLS_PER_SECOND: Final = 20
"""Calls of LiveKit's room service. A poll of 1,000 rooms takes 50 s."""
MAX_ROOMS: Final = 10_000
MAX_PARTICIPANTS: Final = 100_000
"""Participants in all rooms at the same time. Each takes about 2 KB of memory."""


class WatchedLiveKit(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment of LiveKit. `url` is its HTTP URL, without a slash at the end."""

    url: str
    key: LiveKitKey
    poll_interval_seconds: float = POLL_INTERVAL_SECONDS
    calls_per_second: float = CALLS_PER_SECOND
    max_rooms: int = MAX_ROOMS
    max_participants: int = MAX_PARTICIPANTS
