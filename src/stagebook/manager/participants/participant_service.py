"""The operations of participants: publish, watch, open the events websocket, and exchange a token.

A request is verified in two steps. `admit` checks the token by itself, before the API reads a body. The operation then
checks what the book and the session say about the participant, in one step with the session's decision: nothing is
awaited between `authorize` and `Transaction.apply`, so a deletion or revocation cannot come in between.

An operation returns when its events are durable. A client that gives up does not undo what it has started: the
connection is closed and its end recorded.
"""

import asyncio

from msgspec.structs import replace

from stagebook.manager.participants.accompanying_token import accompanied
from stagebook.manager.participants.offer_negotiation import OfferNegotiation, Opened
from stagebook.manager.participants.participant_connection import ParticipantConnections
from stagebook.manager.presence.presence import PresencePublisher
from stagebook.manager.presence.watchers import StageWatcher
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.media.port import (
    InitialLayer,
    MediaEngine,
)
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import (
    ConnectionNotFoundError,
)
from stagebook.stage.events import Cause
from stagebook.stage.ids import new_connection_id, new_source_id
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.resources import ClientInfo, ParticipantRecord, Stage
from stagebook.stage.session.session_facts import (
    EventsRequested,
    MuteStateSet,
    PublishRequested,
    SubscribeRequested,
    TokenExchangeRequested,
)


class ParticipantService(ParticipantConnections):
    """Serves the participants API. Implements its port `ParticipantManager`."""

    def __init__(
        self,
        *,
        unit: UnitOfWork,
        media: MediaEngine,
        authorization: Authorization,
        presence: PresencePublisher,
        randomness: Randomness,
        endpoints: Endpoints,
    ) -> None:
        super().__init__(unit=unit, media=media)
        self.endpoints = endpoints
        self._authorization = authorization
        self._presence = presence
        self._randomness = randomness
        self._negotiation = OfferNegotiation(unit=unit, media=media)

    def is_known(self, token: str) -> bool:
        """Return whether verifying this token costs little; see TokenAuthority.is_known."""
        return self._authorization.is_known(token)

    def admit(self, token: str, *, connection_token: str | None = None) -> Claims:
        """Return the claims of a valid participant token, optionally with a connection token beside it.

        Only the tokens are checked; capabilities and the stage are when the claims are used. Raises TokenRefusedError;
        makes no event.
        """
        now_ms = self._unit.system_time_ms()
        return self._authorization.verify(token, now_ms=now_ms, connection_token=connection_token)

    def admit_connection(self, token: str) -> ConnectionClaims:
        """Return the claims of a connection token that is valid and not revoked.

        Raises TokenRefusedError: CONNECTION_TOKEN if it was revoked, and as `admit` does for a participant token.
        """
        return self._authorization.verify_connection(token, now_ms=self._unit.system_time_ms())

    def identify(self, token: str) -> Claims:
        """Return the claims of a token that may have expired, to patch or close a connection that it opened.

        Raises TokenRefusedError for any other reason than expiry.
        """
        return self._authorization.identify(token)

    async def publish(self, claims: Claims, *, offer: str, client: ClientInfo) -> Opened:
        """Answer a publisher's SDP offer. A participant that publishes already replaces its publication: the new
        connection takes over when it connects.

        Raises AttemptRefusedError (recorded as PUBLISH_ERROR or JOIN_ERROR), OfferMalformedError, TokenRefusedError
        and ServerBusyError.
        """
        if not self._unit.entries.is_prepared(claims.stage_arn):
            await self._prepare(claims)
        claims = accompanied(self._unit.registry, claims)
        stage, known = self._enter(claims)
        connection_id = new_connection_id(self._randomness)
        request = PublishRequested(
            connection_id=connection_id,
            source_id=new_source_id(stage.account_id, self._randomness),
            claims=claims,
            client=client,
            known=known,
        )
        return await self._negotiation.open(
            stage,
            request,
            lambda source_id: self._media.publish(connection_id=connection_id, source_id=source_id, offer=offer),
        )

    async def subscribe(
        self,
        claims: Claims,
        *,
        publisher_id: str,
        offer: str,
        client: ClientInfo,
        initial_layer: InitialLayer | None = None,
    ) -> Opened:
        """Answer a viewer's SDP offer for one publisher of the same stage.

        `initial_layer` is the simulcast layer to begin with, see MediaEngine.subscribe.

        Raises AttemptRefusedError (recorded as SUBSCRIBE_ERROR or JOIN_ERROR), OfferMalformedError, TokenRefusedError
        and ServerBusyError.
        """
        if not self._unit.entries.is_prepared(claims.stage_arn):
            await self._prepare(claims)
        claims = accompanied(self._unit.registry, claims)
        stage, known = self._enter(claims)
        connection_id = new_connection_id(self._randomness)
        request = SubscribeRequested(
            connection_id=connection_id,
            publisher_id=publisher_id,
            claims=claims,
            client=client,
            known=known,
        )
        return await self._negotiation.open(
            stage,
            request,
            lambda source_id: self._media.subscribe(
                connection_id=connection_id, source_id=source_id, offer=offer, initial_layer=initial_layer
            ),
        )

    async def open_events(
        self, claims: Claims, *, watcher: StageWatcher, client: ClientInfo, is_sole: bool = False
    ) -> str:
        """Let a participant watch its stage; return the connection's id. The first snapshot follows.

        With `is_sole` it is of a client that has one events websocket at a time: a former one gets a farewell.
        Raises AttemptRefusedError (recorded as JOIN_ERROR), TokenRefusedError and ServerBusyError.
        """
        if not self._unit.entries.is_prepared(claims.stage_arn):
            await self._prepare(claims)
        stage, known = self._enter(claims)
        connection_id = new_connection_id(self._randomness)
        request = EventsRequested(
            connection_id=connection_id,
            claims=claims,
            client=client,
            is_sole=is_sole,
            known=known,
        )
        transaction = self._unit.begin()
        refusal = transaction.apply(self._unit.session_of(stage), request)
        if refusal is None:
            # Before the commit, which schedules the first snapshot.
            self._presence.add(stage.arn, connection_id, watcher)
        try:
            await self._unit.wait(transaction.commit())
        except asyncio.CancelledError:
            # The caller never learns the id, so nobody else would end this connection. It is not the client's wish to
            # leave, which would end its media connections as well.
            await self.close_events(connection_id=connection_id, cause=Cause.PEER_LOST)
            raise
        if refusal is not None:
            raise refusal
        return connection_id

    async def _prepare(self, claims: Claims) -> None:
        """Fetch what an attempt reads of the past. Raises ServerBusyError."""
        self._unit.require_capacity()
        await self._unit.entries.prepare((claims.stage_arn, claims.participant_id))

    def _enter(self, claims: Claims) -> tuple[Stage, ParticipantRecord | None]:
        """Authorise an attempt; return the stage that it concerns, and the participant's row if it was there before.

        The caller must apply its fact without awaiting in between: what was authorised still holds then.
        """
        self._unit.require_capacity()
        stage = self._authorization.authorize(claims)
        return stage, self._unit.entries.known_record(self._unit.session_of(stage), claims.participant_id)

    def show_again(self, *, connection_id: str) -> None:
        """Show an events websocket the list again, because it has not taken all changes. An unknown id is ignored."""
        self._presence.show_again(connection_id)

    async def exchange_token(self, *, connection_id: str, token: str) -> Claims:
        """Let the participant of an open connection continue with another token; return the claims of that token.

        A token with equal claims changes nothing. Raises ConnectionNotFoundError, TokenRefusedError (the new token is
        not valid) and ExchangeRefusedError.
        """
        route = self._unit.registry.routes.get(connection_id)
        if route is None:
            raise ConnectionNotFoundError
        claims = self._authorization.verify(token, now_ms=self._unit.system_time_ms())
        self._authorization.authorize(replace(claims, connection_token_id=route.connection_token_id))
        fact = TokenExchangeRequested(participant_id=route.participant_id, claims=claims)
        transaction = self._unit.begin()
        refusal = transaction.apply(self._unit.registry.sessions[route.stage_arn], fact)
        if refusal is not None:
            raise refusal
        await self._unit.wait(transaction.commit())
        return claims

    def set_mute_state(self, *, connection_id: str, audio_muted: bool | None, video_stopped: bool | None) -> None:
        """Set what the participant of an open connection says about its media; None leaves one as it is.

        The watchers of the stage are shown a change. An unknown id is ignored.
        """
        route = self._unit.registry.routes.get(connection_id)
        if route is not None:
            fact = MuteStateSet(
                participant_id=route.participant_id, audio_muted=audio_muted, video_stopped=video_stopped
            )
            self._unit.apply(self._unit.registry.sessions[route.stage_arn], fact)

    async def close_events(self, *, connection_id: str, cause: Cause) -> None:
        """Record that an events websocket has closed. An id that is not open is fine."""
        route = self._unit.registry.routes.get(connection_id)
        if route is not None and route.kind is ConnectionKind.EVENTS:
            await self._end(route, connection_id, cause)
