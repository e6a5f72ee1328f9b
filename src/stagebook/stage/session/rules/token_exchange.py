"""Token exchange: a participant on a stage continues with another token (user guide, "Exchange a Token").

The two tokens must agree in stage and `jti`, and both must be signed with a key of the application. Connections that
the new token does not allow end in the same decision, so no connection ever exceeds the rights of the current token.
"""

from msgspec.structs import replace

from stagebook.stage.claims import Claims
from stagebook.stage.errors import ConnectionNotFoundError, ExchangeRefusedError
from stagebook.stage.events import Cause, ExchangedToken, TokenExchange
from stagebook.stage.participant.participant_facts import Exchanged
from stagebook.stage.resources import Capability
from stagebook.stage.session.decision import Refusal
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.rules.effective_token import REMEMBERED_TOKENS
from stagebook.stage.session.rules.replicas import ending_replications
from stagebook.stage.session.rules.teardown import End, end_by_fact
from stagebook.stage.session.session_facts import TokenExchangeRequested


def token_exchange_requested(draft: Draft, fact: TokenExchangeRequested) -> Refusal:
    """Exchange the token of a participant on the stage: TOKEN_EXCHANGED, then the end of what it does not allow.

    A token with equal claims changes nothing and has no event, so a client can repeat an exchange whose answer it has
    missed. Refused with ConnectionNotFoundError if the participant is not on the stage, or ExchangeRefusedError.
    """
    participant = draft.find(fact.participant_id)
    if participant is None or not participant.machine.connections:
        return ConnectionNotFoundError()
    refusal = _not_exchangeable(participant.claims, fact.claims)
    if refusal is not None or fact.claims == participant.claims:
        return refusal
    exchange = TokenExchange(previous=_side(participant.claims), new=_side(fact.claims))
    former = (*participant.former_claims, participant.claims)[-REMEMBERED_TOKENS:]
    draft.put(replace(participant, claims=fact.claims, former_claims=former))
    loses_publication = (
        participant.machine.publication_id is not None and Capability.PUBLISH not in fact.claims.capabilities
    )
    ended = ending_replications(participant, publication_ended=loses_publication, cause=Cause.TOKEN_EXCHANGED)
    exchanged = Exchanged(exchange=exchange, replication_ids=ended)
    end_by_fact(draft, fact.participant_id, exchanged, End(cause=Cause.TOKEN_EXCHANGED))
    return None


def _not_exchangeable(previous: Claims, new: Claims) -> ExchangeRefusedError | None:
    """Return why one token cannot follow the other, or None.

    Their whip_url and events_url are equal as well: in each self-signed token both must be the stage's own.
    """
    if previous.key_arn is None or new.key_arn is None:
        return ExchangeRefusedError("only tokens that are signed with an imported key can be exchanged")
    if new.stage_arn != previous.stage_arn:
        return ExchangeRefusedError("the new token's resource and topic must be those of the current one")
    if new.participant_id != previous.participant_id:
        return ExchangeRefusedError("the new token's jti must be that of the current one")
    return None


def _side(claims: Claims) -> ExchangedToken:
    return ExchangedToken(
        capabilities=tuple(capability.value for capability in Capability if capability in claims.capabilities),
        attributes=claims.attributes,
        user_id=claims.user_id,
        expiration_ms=claims.expires_at_seconds * 1_000,
    )
