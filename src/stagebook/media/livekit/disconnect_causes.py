"""The reasons for which LiveKit ends a participant's connection, as causes of the media engine."""

from typing import Final

from livekit.protocol import models

from stagebook.media.port import CloseCause

_Reason = models.DisconnectReason

_CAUSES: Final = {
    _Reason.CLIENT_INITIATED: CloseCause.PEER_CLOSED,
    _Reason.CONNECTION_TIMEOUT: CloseCause.CONSENT_LOST,
    _Reason.JOIN_FAILURE: CloseCause.NEVER_CONNECTED,
    # Not by Stagebook: LiveKit or another client of its API has ended the connection.
    _Reason.SERVER_SHUTDOWN: CloseCause.ENGINE_LOST,
    _Reason.ROOM_DELETED: CloseCause.ENGINE_LOST,
    _Reason.ROOM_CLOSED: CloseCause.ENGINE_LOST,
    _Reason.PARTICIPANT_REMOVED: CloseCause.ENGINE_LOST,
    # A node that has restarted does not know the participant.
    _Reason.STATE_MISMATCH: CloseCause.ENGINE_LOST,
}


def close_cause(reason: models.DisconnectReason) -> CloseCause:
    """Return the cause of LiveKit's reason (`models.DisconnectReason`).

    LiveKit has one reason, CONNECTION_TIMEOUT, for a peer that closes its connection and for one that vanishes. A
    reason that is not in the table is a failure of the transport.
    """
    return _CAUSES.get(reason, CloseCause.TRANSPORT_FAILED)
