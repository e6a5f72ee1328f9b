"""Stages that show the rooms of an external LiveKit server.

Their participants join and leave only in LiveKit. Stagebook records them, and admits no participant to such a stage.
The prefix of the stage id marks these stages: ids that Stagebook generates have no hyphen (`ids.py`).
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
            member=member, rule="the stage shows a LiveKit room, whose participants join and publish only in LiveKit"
        )
