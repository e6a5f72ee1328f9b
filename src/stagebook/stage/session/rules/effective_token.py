"""Which of a participant's tokens applies, and what an arrival takes from it.

A `jti` names one participant of a stage. The server mints one token for each participant. An application that signs
tokens with its own key can make several with the same `jti`, and a participant exchanges one for another. While the
participant is on the stage, its newest token applies, whichever of its tokens a request presents.
"""

from msgspec.structs import replace

from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.resources import ParticipantRecord, ReplicationType
from stagebook.stage.session.session_state import NO_CONNECTIONS, UNMUTED, UNWATCHED, SessionParticipant

REMEMBERED_TOKENS = 16
"""How many replaced tokens of one participant still identify it. It bounds the memory of repeated exchanges."""


def effective_claims(participant: SessionParticipant | None, shown: Claims) -> Claims:
    """Return the claims that apply to a request that presents the token `shown`.

    For a participant on the stage they are those of its current token. A token that it has exchanged still identifies
    it, since other tabs or retries of the client may hold it, but grants only what the current one does. Raises
    TokenRefusedError (JTI_IN_USE) for any other token with the same `jti`: two tokens of an application must not act as
    one participant without an exchange.
    """
    if participant is None or not (participant.machine.connections or participant.attempts):
        return shown
    token = token_claims(shown)
    if token == participant.claims or token in participant.former_claims:
        return participant.claims
    if token.key_arn is None and participant.claims.key_arn is None:
        return token
    raise TokenRefusedError(
        refusal=TokenRefusal.JTI_IN_USE,
        detail="a participant with this token's jti is on the stage with another token",
    )


def replicated_refusal() -> TokenRefusedError:
    """Return the refusal of a participant while a replica with the same participant id is on the stage."""
    return TokenRefusedError(
        refusal=TokenRefusal.PARTICIPANT_REPLICATED,
        detail="a replica of another stage's participant has this token's participant id",
    )


def token_claims(claims: Claims) -> Claims:
    """Return the claims of the participant token alone, without the connection token. Tokens are compared so."""
    return claims if claims.connection_token_id is None else replace(claims, connection_token_id=None)


def arrive(participant: SessionParticipant, claims: Claims) -> SessionParticipant:
    """Return a participant that is not on the stage, as it arrives with these claims.

    Its row gets their user id and attributes; its earlier tokens, measurements and mute state are dropped. A
    participant that was in the session as a replica before is an independent participant from now on.
    """
    record = _row_of(participant.record, claims)
    machine = participant.machine
    if record.replication_type is ReplicationType.REPLICA:
        machine = NO_CONNECTIONS
        record = replace(
            record,
            replication_type=ReplicationType.NONE,
            replication_state=None,
            source_stage_arn=None,
            source_session_id=None,
        )
    return replace(
        participant,
        claims=token_claims(claims),
        former_claims=(),
        source_watch=UNWATCHED,
        mute=UNMUTED,
        record=record,
        machine=machine,
        is_written=participant.is_written and record is participant.record,
    )


def _row_of(record: ParticipantRecord, claims: Claims) -> ParticipantRecord:
    ingest = claims.ingest
    after = replace(
        record,
        user_id=claims.user_id,
        attributes=claims.attributes,
        ingest_configuration_arn=None if ingest is None else ingest.configuration_arn,
        redundant_ingest=ingest is not None and ingest.is_redundant,
    )
    # The same object if nothing has changed: the draft compares rows by identity.
    return record if after == record else after
