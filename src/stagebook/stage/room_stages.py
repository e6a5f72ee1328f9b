"""Stages that show the rooms of a LiveKit server that somebody else runs.

Their participants join and leave in LiveKit alone. Stagebook records what they do, and admits nobody to such a stage.
The id of the stage says what it is: ids that Stagebook draws have no hyphen (`ids.py`).
"""

from typing import Final

from stagebook.stage.errors import InvalidInputError

ROOM_STAGE_PREFIX: Final = "livekit-"
_MARK: Final = f":stage/{ROOM_STAGE_PREFIX}"


def is_room_stage(stage_arn: str) -> bool:
    """Return whether a stage shows a room of LiveKit."""
    return _MARK in stage_arn


def require_no_room(stage_arn: str, *, member: str) -> None:
    """Raise InvalidInputError for a stage that shows a room of LiveKit. `member` is the input that names the stage."""
    if is_room_stage(stage_arn):
        raise InvalidInputError(
            member=member, rule="the stage shows a LiveKit room, whose participants join and publish in LiveKit alone"
        )
