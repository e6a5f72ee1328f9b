"""How offers in progress end without a connection: dropped with an answer, or cancelled with their participant.

What removes a participant cancels its attempts. The engine may be working on them; the client gets the error of the
cancellation as soon as it has answered.
"""

from collections.abc import Mapping

import msgspec

from stagebook.stage.errors import ServerBusyError, StagebookError, TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import CancelAttempt, CloseRoute
from stagebook.stage.session.session_state import NO_ATTEMPTS, Attempt, SessionParticipant


def cancel_attempts(draft: Draft, participant_id: str, error: StagebookError) -> None:
    """Cancel the offers in progress of a participant. Their clients get `error` as soon as the engine has answered."""
    participant = draft.find(participant_id)
    for connection_id in () if participant is None else tuple(participant.attempts):
        drop_attempt(draft, participant_id, connection_id)
        draft.order(CancelAttempt(connection_id=connection_id, error=error))


def drop_attempt(
    draft: Draft, participant_id: str, connection_id: str, *, keep_source: bool = False
) -> SessionParticipant:
    """Remove an offer in progress; return the participant without it.

    With `keep_source` the offer becomes a connection with the same id, which goes on using the source and the route.
    """
    participant = draft.get(participant_id)
    attempt = participant.attempts[connection_id]
    attempts: Mapping[str, Attempt] = NO_ATTEMPTS
    if len(participant.attempts) > 1:
        attempts = {other: each for other, each in participant.attempts.items() if other != connection_id}
    participant = msgspec.structs.replace(participant, attempts=attempts)
    draft.put(participant)
    if not keep_source:
        if attempt.kind is ConnectionKind.PUBLISH:
            draft.release_source(participant_id, user_id=connection_id, detail="")
        draft.order(CloseRoute(connection_id=connection_id))
    return participant


def cancellation(cause: Cause) -> StagebookError:
    """Return the error for a client whose offer was in progress when its participant was removed."""
    match cause:
        case Cause.STAGE_DELETED:
            return TokenRefusedError(refusal=TokenRefusal.STAGE_DELETED, detail="the stage does not exist")
        case Cause.CONNECTION_TOKEN_REVOKED:
            return TokenRefusedError(refusal=TokenRefusal.CONNECTION_TOKEN, detail="the connection token was revoked")
        case Cause.SHUTDOWN:
            return ServerBusyError("the server is stopping")
        case _:
            return TokenRefusedError(
                refusal=TokenRefusal.PARTICIPANT_DISCONNECTED,
                detail="the participant was disconnected from the stage; its token is no longer valid",
            )
