"""`decide(session, fact) -> Decision`: all rules of a stage session as one pure function.

A stage session is an immutable value. A fact is a request, a report of a media engine, or a timer. The decision is the
next session, the events in causal order, and the orders: rows to write, connections and websockets to close, timers to
set. The manager commits rows and events in one transaction and carries out the other orders once it is durable.

The function is pure so that a decision can be discarded. The manager decides first and commits afterwards; if the book
or another session refuses the transaction, the former session is still the current one.

The rules are in `rules/`; RULES says which function decides which fact:

    attempts.py              requests to publish, watch and join
    attempt_answers.py       the engine's answers to offers
    attempt_cancellation.py  attempts that end without a connection
    media_reports.py         connected, ended, failed, measured, lasted too long
    token_exchange.py        token exchange
    mute_state.py            audio muted, video stopped
    replication_facts.py     replications, at both of their ends
    session_end.py           disconnections, and the end of the session
    teardown.py              what follows when connections end

A fact about something that does not exist changes nothing: reports of engines and timers can arrive after what they
refer to has ended. `decide` never raises for a fact that a peer, a caller or an engine can cause; it returns the
refusal.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from stagebook.stage.session import session_facts
from stagebook.stage.session.decision import Context, Decision, Refusal
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.rules import (
    attempt_answers,
    attempts,
    media_reports,
    mute_state,
    replication_facts,
    session_end,
    token_exchange,
)
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import Session

Rule: TypeAlias = Callable[[Draft, Any], Refusal]
"""A rule changes the draft for one fact. It returns the error that refuses the fact, or None."""

# A table instead of a chain of isinstance: a test checks that each type of fact has a rule.
RULES: Mapping[type[SessionFact], Rule] = {
    session_facts.PublishRequested: attempts.publish_requested,
    session_facts.SubscribeRequested: attempts.subscribe_requested,
    session_facts.EventsRequested: attempts.events_requested,
    session_facts.EncoderRequested: attempts.encoder_requested,
    session_facts.AttemptRefused: attempts.refuse,
    session_facts.AttemptAnswered: attempt_answers.attempt_answered,
    session_facts.AttemptFailed: attempt_answers.attempt_failed,
    session_facts.TransportConnected: media_reports.transport_connected,
    session_facts.ConnectionEnded: media_reports.connection_ended,
    session_facts.ConnectionFailed: media_reports.connection_failed,
    session_facts.SourceReported: media_reports.source_reported,
    session_facts.DurationElapsed: media_reports.duration_elapsed,
    session_facts.LingerElapsed: session_end.linger_elapsed,
    session_facts.WindowElapsed: replication_facts.window_elapsed,
    session_facts.TokenExchangeRequested: token_exchange.token_exchange_requested,
    session_facts.MuteStateSet: mute_state.mute_state_set,
    session_facts.ParticipantsDisconnected: session_end.participants_disconnected,
    session_facts.SessionClosed: session_end.session_closed,
    session_facts.ReplicationRequested: replication_facts.replication_requested,
    session_facts.ReplicationStopRequested: replication_facts.replication_stop_requested,
    session_facts.ReplicaArrived: replication_facts.replica_arrived,
    session_facts.ReplicaPaused: replication_facts.replica_paused,
    session_facts.ReplicaResumed: replication_facts.replica_resumed,
    session_facts.ReplicaMuteSet: mute_state.replica_mute_set,
    session_facts.ReplicaEnded: replication_facts.replica_ended,
    session_facts.ReplicationEnded: replication_facts.replication_ended,
}


def decide(session: Session, fact: SessionFact, context: Context) -> Decision:
    """Decide one fact.

    `context` is the time, the quotas and the account's usage. Returns the next session, the events in causal order, the
    orders, and the refusal of a request if there is one. The given session is not changed. The same arguments always
    give the same decision.
    """
    draft = Draft(session, context)
    refusal = RULES[type(fact)](draft, fact)
    return draft.finish(refusal)
