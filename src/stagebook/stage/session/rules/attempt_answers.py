"""The answers of media engines to offers: how an attempt becomes a connection, or fails.

An offer takes two facts. The request reserved a place (`attempts.py`). AttemptAnswered turns the attempt into a
connection: the participant is JOINED. A disconnection, a deleted stage and the like cancel the attempts of the
participants that they remove. So the answer checks only what can change without them: the current token, the publisher,
and the new connection itself.
"""

from stagebook.stage.errors import ServerBusyError
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.participant.participant_facts import Accepted, Gone
from stagebook.stage.participant.transitions import NEEDED_CAPABILITIES, ConnectionKind
from stagebook.stage.session.decision import Refusal
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import CloseConnection, CloseRoute
from stagebook.stage.session.rules.arrivals import (
    accept,
    is_replica,
    publisher_not_found,
    record_refusal,
    watchable_source,
)
from stagebook.stage.session.rules.attempt_cancellation import drop_attempt
from stagebook.stage.session.rules.effective_token import arrive
from stagebook.stage.session.session_facts import AttemptAnswered, AttemptFailed
from stagebook.stage.session.session_state import Attempt, AttemptFailure, SessionParticipant

_PUBLISH = ConnectionKind.PUBLISH


def attempt_answered(draft: Draft, fact: AttemptAnswered) -> Refusal:
    """Turn an attempt that the engine answered into a connection: JOINED, unless the participant is on the stage.

    Refused with an event if the participant's current token has lost the capability, or the publisher has stopped;
    refused without one if the new connection was lost before the answer. A cancelled attempt is ignored: its client
    already gets the error of the cancellation.
    """
    participant = draft.find(fact.participant_id)
    attempt = None if participant is None else participant.attempts.get(fact.connection_id)
    if participant is None or attempt is None:
        return None
    refusal = _still_allowed(draft, participant, attempt)
    if refusal is not None:
        drop_attempt(draft, fact.participant_id, fact.connection_id)
        draft.order(CloseConnection(connection_id=fact.connection_id))
        return refusal
    participant = drop_attempt(draft, fact.participant_id, fact.connection_id, keep_source=True)
    # Two offers with different tokens can be in progress. The participant joins with the token of the first one that is
    # answered, which need not be the first one that was sent.
    if not participant.machine.connections and participant.claims is not attempt.claims:
        draft.put(arrive(participant, attempt.claims))
    if attempt.kind is _PUBLISH:
        _drop_replacement(draft, fact.participant_id)
        accepted = Accepted(
            connection_id=fact.connection_id,
            kind="publish",
            sends_audio=fact.sends_audio,
            sends_video=fact.sends_video,
        )
    else:
        accepted = Accepted(
            connection_id=fact.connection_id,
            kind="subscribe",
            remote_participant_id=attempt.publisher_id,
            remote_is_replica=attempt.publisher_id is not None and is_replica(draft, attempt.publisher_id),
        )
    accept(draft, attempt.claims, accepted)
    return None


def attempt_failed(draft: Draft, fact: AttemptFailed) -> Refusal:
    """Drop an attempt that the engine refused or did not answer.

    With an error code the failure is recorded as PUBLISH_ERROR or SUBSCRIBE_ERROR, and the error for the client is
    returned.
    """
    participant = draft.find(fact.participant_id)
    attempt = None if participant is None else participant.attempts.get(fact.connection_id)
    if participant is None or attempt is None:
        return None
    refusal = None
    if fact.code is not None:
        failure: AttemptFailure = "PUBLISH_ERROR" if attempt.publisher_id is None else "SUBSCRIBE_ERROR"
        refusal = record_refusal(
            draft,
            attempt.claims,
            participant.record.client,
            None,
            failure,
            code=fact.code,
            detail=fact.detail,
            publisher_id=attempt.publisher_id,
        )
    drop_attempt(draft, fact.participant_id, fact.connection_id)
    return refusal


def _drop_replacement(draft: Draft, participant_id: str) -> None:
    """End the replacement that has not connected yet: a newer offer takes its place.

    A publisher has at most one replacement. Its client has sent a newer offer, so it has given up the former one.
    """
    machine = draft.get(participant_id).machine
    if machine.replacement_id is None:
        return
    replacement_id = machine.replacement_id
    draft.record(participant_id, Gone(connection_ids=(replacement_id,), cause=Cause.CLIENT))
    draft.release_source(participant_id, user_id=replacement_id, detail="")
    draft.order(CloseRoute(connection_id=replacement_id))
    draft.order(CloseConnection(connection_id=replacement_id))


def _still_allowed(draft: Draft, participant: SessionParticipant, attempt: Attempt) -> Refusal:
    """Check what can have changed while the engine answered: the connection, the token, and the publisher."""
    if attempt.is_lost:
        return ServerBusyError("the connection ended while it was being opened; try again")
    claims = participant.claims if participant.machine.connections else attempt.claims
    needed = NEEDED_CAPABILITIES[attempt.kind]
    if needed not in claims.capabilities:
        failure: AttemptFailure = "PUBLISH_ERROR" if attempt.publisher_id is None else "SUBSCRIBE_ERROR"
        return record_refusal(
            draft,
            attempt.claims,
            participant.record.client,
            None,
            failure,
            code=ErrorCode.INSUFFICIENT_CAPABILITIES,
            detail=f"the token lacks the capability {needed.value}",
            publisher_id=attempt.publisher_id,
        )
    if attempt.publisher_id is not None and watchable_source(draft, attempt.publisher_id) != attempt.source_id:
        return publisher_not_found(draft, attempt.claims, participant.record.client, None, attempt.publisher_id)
    return None
