"""What is known of a room that is open, and of those that were: the state of `room_machine`."""

from collections import OrderedDict
from typing import Final, Protocol

import msgspec

from stagebook.stage.resources import ParticipantRecord, Stage

MAX_KEPT_TRACKS: Final = 64
"""Tracks of a participant that are told apart. A publication goes on while any of them does."""
MAX_RECENT: Final = 50_000
"""Ended sessions and participants that are remembered until the book certainly shows them."""
LONG_AGO_MS: Final = -(2**60)
"""A monotonic time before every other one."""


class PresentPerson(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant that is in a room: JOINED is recorded, LEFT is not.

    `track_sids` are its published tracks; with one, PUBLISH_STARTED is recorded. `ended_sids` are tracks that have
    ended: LiveKit does not publish one again. `told_ms` is the monotonic time of the last webhook about it.
    """

    record: ParticipantRecord
    track_sids: frozenset[str] = frozenset()
    ended_sids: tuple[str, ...] = ()
    told_ms: int = LONG_AGO_MS
    is_ingress: bool = False
    is_known: bool = True
    """Whether the attributes were told, and not only the sid and the identity."""


class RoomLife(msgspec.Struct, kw_only=True):
    """One life of a room whose session is open.

    `created_ms` is 0, `name` and `room_sid` are empty after a restart, until a poll.
    """

    stage_arn: str
    session_id: str
    start_ms: int
    name: str = ""
    room_sid: str = ""
    created_ms: int = 0
    people: dict[str, PresentPerson] = {}
    publishers: int = 0
    """How many of `people` publish."""
    told_ms: int = LONG_AGO_MS


class PastRooms(Protocol):
    """What the book has: the stages of rooms, and what has ended on them."""

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
