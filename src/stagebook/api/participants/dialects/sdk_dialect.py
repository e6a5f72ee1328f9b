"""The dialect of Amazon's Web Broadcast SDK: `{events}?topic={topic}/publishers`.

    server: {"type": "aws:ivs:DISCONNECT", "payload": {"code", "reason"}}     before the close frame

Observed on the wire with the versions 1.10.0, 1.24.0, 1.33.0 and 1.41.0 of the SDK. It connects again after any close
code, and stays away after DISCONNECT alone. It knows the codes PARTICIPANT_DISCONNECTED, STAGE_DELETED and
TOKEN_REUSED; with another one it reports the reason "unknown". A shutdown has no DISCONNECT, so that the participants
come back to the next server by themselves.
"""

import msgspec

from stagebook.manager.presence.watchers import FarewellReason

_encode = msgspec.json.Encoder().encode

DISCONNECT_REASONS: dict[FarewellReason, str] = {
    FarewellReason.DISCONNECTED: "the participant was disconnected",
    FarewellReason.STAGE_DELETED: "the stage was deleted",
    FarewellReason.CONNECTION_TOKEN_REVOKED: "the connection token was revoked",
}
"""The texts for the reasons that have a DISCONNECT message, where the caller of the API gave none."""


class SdkDialect:
    """Implements EventsDialect."""

    def farewell(self, reason: FarewellReason, detail: str) -> str | None:
        """Return a DISCONNECT message; None if the client shall connect again."""
        text = DISCONNECT_REASONS.get(reason)
        if text is None:
            return None
        payload = {"code": reason.value, "reason": detail or text}
        return _encode({"type": "aws:ivs:DISCONNECT", "payload": payload}).decode("utf-8")
