"""The SET_STATE message of a client, in both dialects: what it says about the media that it publishes.

    client: {"type": "SET_STATE", "audioMuted": false, "videoStopped": true}

The Web Broadcast SDK sends it before it publishes and at each change (observed on the wire; its member `version` is
ignored). There is no answer. A member that is missing or null leaves its part of the state as it is. A message in which
either member has another type is ignored as a whole.
"""

import msgspec

from stagebook.stage.json_depth import is_too_deep

SET_STATE = "SET_STATE"


class SetState(msgspec.Struct, frozen=True, rename="camel"):
    """What a SET_STATE message says. None is a member that it does not have."""

    audio_muted: bool | None = None
    video_stopped: bool | None = None


_decode = msgspec.json.Decoder(SetState).decode


def parse_set_state(message: str) -> SetState | None:
    """Return what a SET_STATE message says; None if it is malformed."""
    if is_too_deep(message):
        return None
    try:
        return _decode(message)
    except (msgspec.DecodeError, UnicodeError):
        return None
