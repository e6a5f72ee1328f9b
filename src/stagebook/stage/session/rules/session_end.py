"""How the API and the server end participants and sessions: DisconnectParticipant, revoked connection tokens, moved
ingest configurations, deleted stages, the shutdown of the server, and a linger that is over."""

from stagebook.stage.session.decision import Refusal
from stagebook.stage.session.draft import Draft, linger_timer
from stagebook.stage.session.orders import SetTimer
from stagebook.stage.session.rules.attempt_cancellation import cancel_attempts, cancellation
from stagebook.stage.session.rules.teardown import end_connections
from stagebook.stage.session.session_facts import LingerElapsed, ParticipantsDisconnected, SessionClosed
from stagebook.stage.session.session_phase import SessionPhase, SessionTurn


def participants_disconnected(draft: Draft, fact: ParticipantsDisconnected) -> Refusal:
    """End all connections, replications and offers in progress of some participants, with the events of each.

    Attempts are cancelled first. They are answered by the engine later, and must not bring the participant back.
    """
    for participant_id in fact.participant_ids:
        cancel_attempts(draft, participant_id, cancellation(fact.cause))
        participant = draft.find(participant_id)
        if participant is not None and (participant.machine.connections or participant.machine.replications):
            connection_ids = tuple(participant.machine.connections)
            end_connections(draft, participant_id, connection_ids, cause=fact.cause, detail=fact.detail)
    return None


def session_closed(draft: Draft, fact: SessionClosed) -> Refusal:
    """Let all participants leave for the same cause, in order of arrival, and end the session.

    `cascade` is off: otherwise viewers would leave with the cause PUBLISHER_STOPPED, in the order of their publishers.
    """
    for participant_id in draft.participant_ids():
        cancel_attempts(draft, participant_id, cancellation(fact.cause))
        participant = draft.get(participant_id)
        if participant.machine.connections or participant.machine.replications:
            connection_ids = tuple(participant.machine.connections)
            end_connections(draft, participant_id, connection_ids, cause=fact.cause, detail=fact.detail, cascade=False)
    draft.viewers = type(draft.viewers)()
    draft.close(SessionTurn.CLOSED, end_ms=draft.context.at.wall_ms)
    return None


def linger_elapsed(draft: Draft, _fact: LingerElapsed) -> Refusal:
    """End a session that has been empty for its linger, at the time at which the linger was over.

    An offer in progress keeps the session open until it is answered: the timer is set again.
    """
    session, context = draft.base, draft.context
    if session.phase is not SessionPhase.LINGERING or session.empty_since is None:
        return None
    if session.usage.arriving:
        # At least 1 ms later, also without a linger: the loop over the due timers would find a timer that is due at
        # once again and again.
        due_ms = context.at.monotonic_ms + max(context.linger_ms, 1)
        draft.order(SetTimer(key=linger_timer(session.stage_arn), due_ms=due_ms, fact=LingerElapsed()))
        return None
    # The nominal end and not the time of this decision: timers are checked at intervals. It is never in the future of
    # the event clock, which may run slower than the monotonic clock that the timer uses.
    end_ms = session.empty_since.wall_ms + context.linger_ms
    end_ms = min(end_ms, max(context.at.wall_ms, session.empty_since.wall_ms))
    draft.close(SessionTurn.LINGER_OVER, end_ms=end_ms)
    return None
