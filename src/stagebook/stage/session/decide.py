"""`decide(session, fact) -> Decision`: everything that the rules of the book speak of, as one pure function.

A stage session is an immutable value. A fact is a request, a report of a media engine, or a timer. The decision is the
next session, the events in causal order, and the orders: which rows to write, which connections to close, whom to say
farewell. The shell commits rows and events in one transaction and carries out the other orders afterwards.

The rules are in `rules/`; RULES says which function decides which fact:

    attempts.py            requests to publish, watch and join, and the engine's answers to them
    media_reports.py       connected, ended, failed, measured, lasted too long
    token_exchange.py      token exchange
    replication_facts.py   replications, at both of their ends
    session_end.py         disconnections, and the end of the session
    teardown.py            what follows when connections end

A fact about something that does not exist changes nothing. `decide` never raises for a fact that a peer, a caller or
an engine can cause; it returns the refusal.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from stagebook.stage.session import session_facts
from stagebook.stage.session.draft import Context, Decision, Draft, Refusal
from stagebook.stage.session.rules import (
    attempts,
    media_reports,
    replication_facts,
    session_end,
    token_exchange,
)
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import Session

Rule: TypeAlias = Callable[[Draft, Any], Refusal]
"""A rule changes the draft for one fact. It returns the error that refuses the fact, or None."""

RULES: Mapping[type[SessionFact], Rule] = {
    session_facts.PublishRequested: attempts.publish_requested,
    session_facts.SubscribeRequested: attempts.subscribe_requested,
    session_facts.EventsRequested: attempts.events_requested,
    session_facts.EncoderRequested: attempts.encoder_requested,
    session_facts.AttemptRefused: attempts.refuse,
    session_facts.AttemptAnswered: attempts.attempt_answered,
    session_facts.AttemptFailed: attempts.attempt_failed,
    session_facts.TransportConnected: media_reports.transport_connected,
    session_facts.ConnectionEnded: media_reports.connection_ended,
    session_facts.ConnectionFailed: media_reports.connection_failed,
    session_facts.SourceReported: media_reports.source_reported,
    session_facts.DurationElapsed: media_reports.duration_elapsed,
    session_facts.LingerElapsed: session_end.linger_elapsed,
    session_facts.WindowElapsed: replication_facts.window_elapsed,
    session_facts.TokenExchangeRequested: token_exchange.token_exchange_requested,
    session_facts.ParticipantsDisconnected: session_end.participants_disconnected,
    session_facts.SessionClosed: session_end.session_closed,
    session_facts.ReplicationRequested: replication_facts.replication_requested,
    session_facts.ReplicationStopRequested: replication_facts.replication_stop_requested,
    session_facts.ReplicaArrived: replication_facts.replica_arrived,
    session_facts.ReplicaPaused: replication_facts.replica_paused,
    session_facts.ReplicaResumed: replication_facts.replica_resumed,
    session_facts.ReplicaEnded: replication_facts.replica_ended,
    session_facts.ReplicationEnded: replication_facts.replication_ended,
}


def decide(session: Session, fact: SessionFact, context: Context) -> Decision:
    """Decide one fact.

    `context` is the time, the quotas and the account's usage. Returns the next session, the events and the orders. The
    given session is not changed.
    """
    draft = Draft(session, context)
    refusal = RULES[type(fact)](draft, fact)
    return draft.finish(refusal)
