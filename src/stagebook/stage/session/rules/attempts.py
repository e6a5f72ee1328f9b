"""The requests of participants to come onto a stage: the checks, the reserved place, and the arrival.

The request checks the effective token and the quotas. That of an offer reserves a place (an attempt), until the engine
has answered, see `attempt_answers.py`. An events websocket and an encoder need no answer first: their request is their
arrival.

A refused attempt of an identified participant is an event: JOIN_ERROR, PUBLISH_ERROR or SUBSCRIBE_ERROR with the error
code (shape EventErrorCode).
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace

from stagebook.stage.errors import (
    TokenRefusedError,
)
from stagebook.stage.events import ErrorCode
from stagebook.stage.participant.participant_facts import Accepted
from stagebook.stage.participant.transitions import NEEDED_CAPABILITIES, ConnectionKind
from stagebook.stage.session.decision import Refusal
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import AskEngine
from stagebook.stage.session.rules.arrivals import (
    accept,
    enter,
    newcomer,
    open_route,
    publisher_not_found,
    record_refusal,
    watchable_source,
    with_client,
)
from stagebook.stage.session.rules.effective_token import effective_claims, replicated_refusal
from stagebook.stage.session.rules.quotas import (
    connections_quota,
    offers_in_progress,
    participants_quota,
    publishers_quota,
    subscribers_quota,
)
from stagebook.stage.session.rules.sole_websocket import replace_sole
from stagebook.stage.session.session_facts import (
    AttemptRefused,
    EncoderRequested,
    EventsRequested,
    PublishRequested,
    SubscribeRequested,
)
from stagebook.stage.session.session_state import Attempt, AttemptFailure, SessionParticipant

Request: TypeAlias = PublishRequested | SubscribeRequested | EventsRequested | EncoderRequested
_OFFERS = (PublishRequested, SubscribeRequested)
_PUBLISH, _SUBSCRIBE, _QUOTA_EXCEEDED = ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE, ErrorCode.QUOTA_EXCEEDED
Quota: TypeAlias = Callable[[Draft, SessionParticipant | None], str | None]


def publish_requested(draft: Draft, fact: PublishRequested) -> Refusal:
    """Check an offer to publish and reserve its place.

    The attempt counts in the quotas and uses the publisher's source from now on. A participant that publishes already
    uses its present source, so the publication can move to the new connection without its viewers noticing.
    """
    participant_id = fact.claims.participant_id
    participant = draft.find(participant_id)
    refusal = _check(draft, fact, participant, _PUBLISH, "PUBLISH_ERROR", publishers_quota)
    if refusal is not None:
        return refusal
    source_id = draft.lease_source(
        participant_id, user_id=fact.connection_id, participant_id=participant_id, fresh_id=fact.source_id
    )
    attempt = Attempt(kind=_PUBLISH, source_id=source_id, claims=fact.claims)
    _reserve(draft, fact, participant, attempt)
    return None


def subscribe_requested(draft: Draft, fact: SubscribeRequested) -> Refusal:
    """Check an offer to watch a publisher and reserve its place.

    The attempt remembers the publisher's source of this moment: the engine answers for that source, even if the
    publisher has stopped and published again in the meantime.
    """
    quota = partial(subscribers_quota, publisher_id=fact.publisher_id)
    participant = draft.find(fact.claims.participant_id)
    refusal = _check(draft, fact, participant, _SUBSCRIBE, "SUBSCRIBE_ERROR", quota)
    if refusal is not None:
        return refusal
    source_id = watchable_source(draft, fact.publisher_id)
    if source_id is None:
        return publisher_not_found(draft, fact.claims, fact.client, fact.known, fact.publisher_id)
    attempt = Attempt(kind=_SUBSCRIBE, source_id=source_id, claims=fact.claims, publisher_id=fact.publisher_id)
    _reserve(draft, fact, participant, attempt)
    return None


def events_requested(draft: Draft, fact: EventsRequested) -> Refusal:
    """Check an events websocket and let its participant join. No engine takes part, so one decision is enough."""
    former = draft.find(fact.claims.participant_id)
    replaces = fact.is_sole and former is not None and former.sole_events_id is not None
    quota = partial(connections_quota, replaced=1 if replaces else 0)
    refusal = _check(draft, fact, former, ConnectionKind.EVENTS, "JOIN_ERROR", quota)
    if refusal is not None:
        return refusal
    enter(draft, fact.claims, fact.client, fact.known)
    accept(draft, fact.claims, Accepted(connection_id=fact.connection_id, kind="events"))
    open_route(draft, fact.claims, fact.connection_id, ConnectionKind.EVENTS)
    if fact.is_sole:
        replace_sole(draft, fact.claims.participant_id, fact.connection_id)
    return None


def encoder_requested(draft: Draft, fact: EncoderRequested) -> Refusal:
    """Check an encoder whose stream key is valid, and let its participant join.

    The participant joins before the engine admits the encoder, not after: the engine's reports about the connection can
    follow its admission at once, and must find the participant. REUSE_OF_STREAM_KEY is checked before the quotas,
    because it names the cause that the operator can remove.
    """
    participant = draft.find(fact.claims.participant_id)
    if participant is not None and participant.machine.connections:
        detail = "another encoder publishes with this stream key"
        return refuse(
            draft,
            AttemptRefused(
                claims=fact.claims,
                client=fact.client,
                failure="PUBLISH_ERROR",
                code=ErrorCode.REUSE_OF_STREAM_KEY,
                detail=detail,
                known=fact.known,
            ),
        )
    if draft.base.has_replica(fact.publisher_id):
        return replicated_refusal()
    is_stream = fact.publisher_id != fact.claims.participant_id
    kind = ConnectionKind.REDUNDANT if is_stream else ConnectionKind.PUBLISH
    # An encoder has one request for joining and publishing, so each of its refusals is a PUBLISH_ERROR.
    refusal = _check(draft, fact, participant, kind, "PUBLISH_ERROR", publishers_quota)
    if refusal is not None:
        return refusal
    source_id = draft.lease_source(
        fact.publisher_id,
        user_id=fact.connection_id,
        participant_id=fact.claims.participant_id,
        fresh_id=fact.source_id,
    )
    enter(draft, fact.claims, fact.client, fact.known)
    accepted = Accepted(connection_id=fact.connection_id, kind="redundant" if is_stream else "publish")
    accept(draft, fact.claims, accepted)
    open_route(draft, fact.claims, fact.connection_id, kind)
    draft.order(AskEngine(connection_id=fact.connection_id, source_id=source_id))
    return None


def refuse(draft: Draft, fact: AttemptRefused) -> Refusal:
    """Record an attempt that the manager refused; return the error for the client."""
    return record_refusal(draft, fact.claims, fact.client, fact.known, fact.failure, code=fact.code, detail=fact.detail)


def _check(
    draft: Draft,
    fact: Request,
    participant: SessionParticipant | None,
    kind: ConnectionKind,
    failure: AttemptFailure,
    quota: Quota,
) -> Refusal:
    """Check the effective token and the quotas of a request of `participant`; record a refusal.

    The order of the checks: the token, the offers in progress, the capability, the number of participants, and the
    quota of the kind of request. An offer above the number in progress is refused without an event, because the same
    offer is accepted a moment later. `failure` is the event of a refusal. JOIN_ERROR replaces it when the stage is
    full, since the participant cannot join at all.
    """
    effective = claims = fact.claims
    if participant is not None:
        if participant.machine.replica_id is not None:
            return replicated_refusal()
        try:
            effective = effective_claims(participant, claims)
        except TokenRefusedError as error:
            return error
        if isinstance(fact, _OFFERS):
            busy = offers_in_progress(participant)
            if busy is not None:
                return busy
    publisher_id = fact.publisher_id if isinstance(fact, SubscribeRequested) else None
    needed = NEEDED_CAPABILITIES.get(kind)
    code, detail = _QUOTA_EXCEEDED, participants_quota(draft, participant)
    if needed is not None and needed not in effective.capabilities:
        code, detail = ErrorCode.INSUFFICIENT_CAPABILITIES, f"the token lacks the capability {needed.value}"
    elif detail is not None:
        failure = failure if isinstance(fact, EncoderRequested) else "JOIN_ERROR"
        publisher_id = None
    else:
        detail = quota(draft, participant)
    if detail is None:
        return None
    return record_refusal(
        draft, claims, fact.client, fact.known, failure, code=code, detail=detail, publisher_id=publisher_id
    )


def _reserve(
    draft: Draft,
    fact: PublishRequested | SubscribeRequested,
    participant: SessionParticipant | None,
    attempt: Attempt,
) -> None:
    """Add an attempt to its participant, and ask the engine. No event: the participant joins with the answer."""
    if participant is None:
        participant = newcomer(draft, fact.claims, fact.client, fact.known)
    participant = with_client(participant, fact.client)
    attempts = {**participant.attempts, fact.connection_id: attempt}
    draft.put(replace(participant, attempts=attempts))
    open_route(draft, fact.claims, fact.connection_id, attempt.kind)
    draft.order(AskEngine(connection_id=fact.connection_id, source_id=attempt.source_id))
