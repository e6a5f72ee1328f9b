"""How a participant enters a session: its row, its arrival, and the events of refused attempts."""

from msgspec.structs import replace

from stagebook.stage.claims import Claims, virtual_claims
from stagebook.stage.errors import AttemptRefusedError, StagebookError
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.participant.participant_facts import Accepted, Refused
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.resources import ClientInfo, ParticipantRecord
from stagebook.stage.session.decision import Refusal
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import OpenRoute
from stagebook.stage.session.rules.effective_token import arrive, token_claims
from stagebook.stage.session.session_state import NO_ATTEMPTS, NO_VIEWERS, AttemptFailure, SessionParticipant

ENGINE_CAUSES = {ErrorCode.INTERNAL_SERVER_EXCEPTION: Cause.ENGINE_LOST}
"""The cause that the book keeps with a refusal by its error code, where it is not simply REFUSED."""


def watchable_source(draft: Draft, publisher_id: str) -> str | None:
    """Return the id of the source that a viewer of this publisher subscribes to, or None.

    None means that the participant is not on the stage or does not publish. A publisher whose offer was answered can be
    watched before its media flows. A replica can be watched only while it publishes: the source that it had before a
    pause has ended.
    """
    publisher = draft.find(publisher_id)
    if publisher is None:
        return None
    replica_publishes = publisher.machine.is_replica and publisher.machine.is_publishing
    if publisher.machine.publication_id is None and not replica_publishes:
        return None
    source = draft.sources.get(publisher_id)
    return None if source is None else source.source_id


def newcomer(draft: Draft, claims: Claims, client: ClientInfo, known: ParticipantRecord | None) -> SessionParticipant:
    """Return a new participant of the session, without connections.

    `known` is its row if it was in this session before. The new row keeps its `first_join_ms` and `published`, and has
    the user id and the attributes of the claims.
    """
    draft.arrivals += 1
    if known is None and claims.ingest is None:
        # The usual case, written out: a participant with a token that the session has not seen.
        record = ParticipantRecord(
            participant_id=claims.participant_id, user_id=claims.user_id, attributes=claims.attributes, client=client
        )
        return SessionParticipant(
            claims=token_claims(claims), record=record, attempts=NO_ATTEMPTS, arrival=draft.arrivals
        )
    record = known or ParticipantRecord(
        participant_id=claims.participant_id, user_id=claims.user_id, attributes=claims.attributes, client=client
    )
    arrived = arrive(SessionParticipant(claims=claims, record=record, arrival=draft.arrivals), claims)
    # With `is_written` false, a row that another token has changed is written with the next event of any kind, also
    # with that of a refused attempt, which does not change the row.
    return replace(arrived, is_written=arrived.record is known)


def enter(draft: Draft, claims: Claims, client: ClientInfo, known: ParticipantRecord | None) -> SessionParticipant:
    """Return the participant of these claims from the draft; add it if it is missing.

    A participant without connections arrives: its row and its current token follow the claims. One that is on the stage
    keeps its current token, and so does a replica, whose claims are those of its publisher.
    """
    participant = draft.find(claims.participant_id)
    if participant is None:
        participant = newcomer(draft, claims, client, known)
    elif not participant.machine.connections and not participant.machine.is_replica:
        participant = arrive(participant, claims)
    participant = with_client(participant, client)
    draft.put(participant)
    return participant


def with_client(participant: SessionParticipant, client: ClientInfo) -> SessionParticipant:
    """Return a participant after another request of it, which came from this client.

    Its row shows the client of its first request in the session, or of the first one that names the version of an SDK:
    the handshake of an events websocket does not name it. The row is written with the participant's next event.
    """
    record = participant.record
    if not client.sdk_version or record.client.sdk_version:
        return participant
    return replace(participant, record=replace(record, client=client), is_written=False)


def open_route(draft: Draft, claims: Claims, connection_id: str, kind: ConnectionKind) -> None:
    """Order a route from a connection or attempt to its participant: engines report connection ids only."""
    draft.order(
        OpenRoute(
            connection_id=connection_id,
            participant_id=claims.participant_id,
            kind=kind,
            connection_token_id=claims.connection_token_id,
        )
    )


def accept(draft: Draft, claims: Claims, accepted: Accepted) -> None:
    """Record an accepted connection, and add a subscription to the index of viewers.

    The caller opens the route, unless the request that preceded the answer has opened it.
    """
    participant_id = claims.participant_id
    draft.record(participant_id, accepted)
    publisher_id = accepted.remote_participant_id
    if publisher_id is not None:
        watching = draft.viewers.get(publisher_id) or NO_VIEWERS
        draft.viewers = draft.viewers.insert(publisher_id, watching.insert(accepted.connection_id, participant_id))


def publisher_not_found(
    draft: Draft, claims: Claims, client: ClientInfo, known: ParticipantRecord | None, publisher_id: str
) -> Refusal:
    """Record SUBSCRIBE_ERROR with PUBLISHER_NOT_FOUND (shape EventErrorCode); return the error for the client."""
    return record_refusal(
        draft,
        claims,
        client,
        known,
        "SUBSCRIBE_ERROR",
        code=ErrorCode.PUBLISHER_NOT_FOUND,
        detail="no such publisher on the stage",
        publisher_id=publisher_id,
    )


def record_refusal(
    draft: Draft,
    claims: Claims,
    client: ClientInfo,
    known: ParticipantRecord | None,
    failure: AttemptFailure,
    *,
    code: ErrorCode,
    detail: str,
    publisher_id: str | None = None,
) -> StagebookError:
    """Record the event of a refused attempt; return the error for the client, an AttemptRefusedError.

    The participant gets a row even if it never joined, so that ListParticipants shows it and its events can be listed.
    `publisher_id` is set for SUBSCRIBE_ERROR only.
    """
    enter(draft, claims, client, known)
    fact = Refused(
        attempt=failure,
        code=code,
        remote_participant_id=publisher_id,
        remote_is_replica=publisher_id is not None and is_replica(draft, publisher_id),
        cause=ENGINE_CAUSES.get(code, Cause.REFUSED),
        detail=detail,
    )
    draft.record(claims.participant_id, fact)
    return AttemptRefusedError(code=code, detail=detail)


def is_replica(draft: Draft, participant_id: str) -> bool:
    """Return whether a participant of the draft is a replica on the stage."""
    participant = draft.find(participant_id)
    return participant is not None and participant.machine.replica_id is not None


def show_virtual(
    draft: Draft, stream: SessionParticipant, known: ParticipantRecord | None, publication_id: str
) -> bool:
    """Let the virtual participant of a redundant stream join, unless it publishes already; return whether it joined.

    `known` is its row if it was in this session before. Both streams feed one source, so the second stream to connect
    changes nothing for the viewers.
    """
    claims = virtual_claims(stream.claims)
    virtual = draft.find(claims.participant_id)
    if virtual is not None and virtual.machine.publication_id is not None:
        return False
    enter(draft, claims, stream.record.client, known)
    # No route: the engine does not know the virtual publication.
    draft.record(claims.participant_id, Accepted(connection_id=publication_id, kind="publish"))
    return True
