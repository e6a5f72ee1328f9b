"""The ids in the book of LiveKit's rooms and participants, derived from LiveKit's names and sids alone.

An observation that is made twice, also by two runs of Stagebook, has the same ids. Duplicates are found by them.
LiveKit's sids are a prefix and 12 random characters (livekit/protocol, utils/guid): `RM_` for a room session, `PA_` for
a connection of a participant. The 12 characters are readable in the ids of the book.
"""

import hashlib
import re
from typing import Final

from stagebook.stage.arns import STAGE, Arn
from stagebook.stage.ids import ALPHABET, SESSION_ID_LENGTH, SESSION_ID_PREFIX
from stagebook.stage.room_stages import ROOM_STAGE_PREFIX

_ROOM_SID: Final = re.compile(r"RM_([A-Za-z0-9]{12})")
_PARTICIPANT_SID: Final = re.compile(r"PA_([A-Za-z0-9]{12})")
_READABLE_MARK: Final = "L"
_HASHED_MARK: Final = "H"
_NAME_DIGITS: Final = 20
_SID_DIGITS: Final = 12


def stage_arn_of_room(room_name: str, *, region: str, account_id: str, generation: int) -> str:
    """Return the ARN of the stage that shows the rooms with this name.

    `generation` counts the stages of this name that were deleted before.
    """
    resource_id = ROOM_STAGE_PREFIX + _digest(f"{generation}/{room_name}", _NAME_DIGITS)
    return str(Arn(region=region, account_id=account_id, resource_type=STAGE, resource_id=resource_id))


def session_id_of_room(room_sid: str, *, part: int = 1) -> str:
    """Return the id of the stage session of a room session: `st-L` and the characters of the sid.

    A room session that continues after the end of its stage session has further parts. Their ids are digests.
    """
    match = _ROOM_SID.fullmatch(room_sid) if part == 1 else None
    text = room_sid if part == 1 else f"{part}/{room_sid}"
    marked = _HASHED_MARK + _digest(text, _SID_DIGITS) if match is None else _READABLE_MARK + match[1]
    session_id = SESSION_ID_PREFIX + marked
    assert len(session_id) == SESSION_ID_LENGTH  # noqa: S101 - the lengths above add up
    return session_id


def participant_id_of(participant_sid: str) -> str:
    """Return the id of the participant with this sid: the characters of the sid without `PA_`."""
    match = _PARTICIPANT_SID.fullmatch(participant_sid)
    return _HASHED_MARK + _digest(participant_sid, _SID_DIGITS) if match is None else match[1]


def _digest(text: str, digits: int) -> str:
    """Return a digest of a text in base-62 characters: 20 of them are 119 bits, 12 are 71 bits."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    for _ in range(digits):
        number, digit = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[digit])
    return "".join(letters)
