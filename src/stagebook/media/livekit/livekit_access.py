"""Access tokens of LiveKit: JSON web tokens with HMAC and SHA-256 that the holder of an API secret signs.

A token names the participant (`sub`), the API key (`iss`), and in the claim `video` what its bearer may do
(https://docs.livekit.io/home/get-started/authentication/). Tokens stay within the server: peers never see one.
"""

from collections.abc import Callable
from typing import Final

import jwt
import msgspec

LIFETIME_SECONDS: Final = 24 * 3_600
_CLOCK_MARGIN_SECONDS: Final = 600
"""The clock of a LiveKit node may be behind."""


class LiveKitKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key of LiveKit with its secret."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return f"LiveKitKey(key={self.key!r})"


class LiveKitAccess:
    """Signs tokens with one API key."""

    def __init__(self, key: LiveKitKey, *, wall_clock: Callable[[], float]) -> None:
        """`wall_clock` returns seconds since the epoch."""
        self._key = key
        self._wall_clock = wall_clock

    def publisher_token(self, *, room: str, identity: str) -> str:
        """Return a token that lets a participant publish media, and nothing else."""
        return self._sign(identity, room=room, roomJoin=True, canPublish=True, canSubscribe=False, canPublishData=False)

    def viewer_token(self, *, room: str, identity: str) -> str:
        """Return a token that lets a participant watch, unseen by the others."""
        grants = {"roomJoin": True, "canPublish": False, "canSubscribe": True, "canPublishData": False, "hidden": True}
        return self._sign(identity, room=room, **grants)

    def service_token(self, *, room: str = "") -> str:
        """Return a token for calls of the room service. The calls about one room need its name."""
        return self._sign("stagebook", room=room, roomAdmin=True, roomCreate=True, roomList=True)

    def _sign(self, identity: str, **grants: object) -> str:
        now = int(self._wall_clock())
        claims = {
            "iss": self._key.key,
            "sub": identity,
            "nbf": now - _CLOCK_MARGIN_SECONDS,
            "exp": now + LIFETIME_SECONDS,
            "video": grants,
        }
        return jwt.encode(claims, self._key.secret, algorithm="HS256")
