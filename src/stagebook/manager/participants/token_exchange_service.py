"""Token exchange: a participant on a stage goes on with another token (user guide, "Exchange a Token").

Owns what must stay equal between the two. What the new token does not allow any more ends in the same transaction.
"""

from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.stage.claims import Claims
from stagebook.stage.errors import ConnectionNotFoundError, ExchangeRefusedError
from stagebook.stage.events import ExchangedToken, TokenExchange
from stagebook.stage.facts import Exchanged
from stagebook.stage.resources import Capability


class TokenExchangeService:
    """Exchanges the tokens of participants who are on a stage."""

    def __init__(self, *, ledger: UnitOfWork, endings: Teardown, admission: Authorization) -> None:
        self._ledger = ledger
        self._endings = endings
        self._admission = admission

    async def exchange_token(self, *, connection_id: str, token: str) -> Claims:
        """Let the participant of an open connection go on with `token`; return what that grants, once it is durable.

        A token that says what the participant's own says already changes nothing and makes no event. Raises
        ConnectionNotFoundError, TokenRefusedError (the new token is not good) and ExchangeRefusedError.
        """
        route = self._ledger.live.routes.get(connection_id)
        if route is None:
            raise ConnectionNotFoundError
        live = route.session.participants[route.participant_id]
        claims = self._admission.admit(token, now_ms=self._ledger.now_ms())
        _require_exchangeable(live.claims, claims)
        if claims == live.claims:
            await self._ledger.settled()
            return claims
        exchange = TokenExchange(previous=_side(live.claims), new=_side(claims))
        live.exchange(claims)
        changes = self._endings.exchanged(route.session, route.participant_id, Exchanged(exchange=exchange))
        await self._ledger.commit(route.session, changes)
        return claims


def _require_exchangeable(previous: Claims, new: Claims) -> None:
    """Raise ExchangeRefusedError unless the one may follow the other.

    Their whip_url and events_url are equal as well: in every self-signed token both must be the stage's own.
    """
    if previous.key_arn is None or new.key_arn is None:
        raise ExchangeRefusedError("only tokens signed with a key of one's own can be exchanged")
    if new.stage_arn != previous.stage_arn:
        raise ExchangeRefusedError("the new token's resource and topic must be those of the present one")
    if new.participant_id != previous.participant_id:
        raise ExchangeRefusedError("the new token's jti must be that of the present one")


def _side(claims: Claims) -> ExchangedToken:
    return ExchangedToken(
        capabilities=tuple(capability.value for capability in Capability if capability in claims.capabilities),
        attributes=claims.attributes,
        user_id=claims.user_id,
        expiration_ms=claims.expires_at_seconds * 1_000,
    )
