"""The state of `room_machine`: the open room sessions with their participants, and the keys of those that ended."""

from collections import OrderedDict
from typing import Final, Protocol

import msgspec

from stagebook.stage.resources import ParticipantRecord, Stage

MAX_KEPT_TRACKS: Final = 64
"""Tracks that are stored for each participant. It publishes while it has at least one."""
MAX_RECENT: Final = 50_000
"""Ended sessions and participants that are kept in memory. Older ones are in the book: their commit is long done."""
SETTLED_MS: Final = 2_000
"""How long before a poll a webhook must have arrived, so that the poll is newer. LiveKit's lists lag by some ms."""
LONG_AGO_MS: Final = -(2**60)
"""A monotonic time before every other one."""


class JoinedParticipant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant in a room: JOINED is recorded, LEFT is not.

    `track_sids` are its published tracks; with one, PUBLISH_STARTED is recorded. `ended_sids` are tracks that have
    ended: LiveKit does not publish one again. `last_webhook_ms` is the monotonic time of the last webhook about it.
    """

    record: ParticipantRecord
    track_sids: frozenset[str] = frozenset()
    ended_sids: tuple[str, ...] = ()
    last_webhook_ms: int = LONG_AGO_MS
    is_ingress: bool = False
    is_known: bool = True
    """Whether the attributes are known, and not only the sid and the identity."""


class RoomSession(msgspec.Struct, kw_only=True):
    """A room session and its stage session, which is open once a participant has joined.

    After a restart, until the first poll, `created_ms` is 0, and `name` and `room_sid` are empty.
    """

    stage_arn: str
    session_id: str
    start_ms: int
    name: str = ""
    room_sid: str = ""
    created_ms: int = 0
    participants: dict[str, JoinedParticipant] = {}
    publishers: int = 0
    """How many of `participants` publish."""
    last_webhook_ms: int = LONG_AGO_MS


class RoomReader(Protocol):
    """Reads the stages, sessions and participants of rooms in the book."""

    def stage_of(self, room_name: str) -> tuple[str, Stage | None]:
        """Return the ARN of the stage that shows the rooms of this name, and the stage to create if there is none."""

    def has_session(self, stage_arn: str, session_id: str) -> bool:
        """Return whether the book has this session."""

    def has_participant(self, stage_arn: str, session_id: str, participant_id: str) -> bool:
        """Return whether the book has this participant."""


class RecentKeys:
    """The newest keys of a bounded number, each with a time."""

    def __init__(self, maximum: int = MAX_RECENT) -> None:
        self._maximum = maximum
        self._keys: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def __contains__(self, key: tuple[str, ...]) -> bool:
        return key in self._keys

    def time_of(self, key: tuple[str, ...]) -> int:
        """Return the time of a key; LONG_AGO_MS if it is not among them."""
        return self._keys.get(key, LONG_AGO_MS)

    def add(self, key: tuple[str, ...], time_ms: int = LONG_AGO_MS) -> None:
        """Add a key; forget the oldest one above the maximum."""
        self._keys[key] = time_ms
        if len(self._keys) > self._maximum:
            self._keys.popitem(last=False)


def is_settled(changed_ms: int, polled_ms: int) -> bool:
    """Return whether a change is old enough for a poll that began at `polled_ms` to show it; monotonic times."""
    return changed_ms + SETTLED_MS <= polled_ms
