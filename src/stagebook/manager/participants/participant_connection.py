"""What a participant does with a media connection that is open: patch it, choose a layer, and end it.

The token may have expired since it opened the connection. A connection is found by its id, and only for the participant
that it belongs to.
"""

import contextlib

from stagebook.manager.session.session_registry import MEDIA_KINDS, Route
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.media.port import LayerChoice, MediaEngine, MediaRefusedError, PatchAnswer, RefusalReason, VideoLayers
from stagebook.stage.claims import Claims
from stagebook.stage.errors import (
    ConnectionNotFoundError,
    IceSessionMismatchError,
    LayerNotFoundError,
    OfferMalformedError,
    ServerBusyError,
)
from stagebook.stage.events import Cause
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.session.session_facts import ConnectionEnded


class ParticipantConnections:
    """The operations on the media connections that `ParticipantService` has opened."""

    def __init__(self, *, unit: UnitOfWork, media: MediaEngine) -> None:
        self._unit = unit
        self._media = media

    async def close(self, claims: Claims, *, connection_id: str) -> None:
        """End a media connection of a participant; return when its end is durable. Raises ConnectionNotFoundError.

        A connection that has ended a moment ago counts as ended by this call. The peer may have closed its transport
        before the client asks for the end here, or the response to an earlier call may have been lost.
        """
        await self._follow_replacement(claims, connection_id)
        registry = self._unit.registry
        ended = None if connection_id in registry.routes else registry.ended.get(connection_id)
        if ended is not None and _is_of(ended, claims):
            await self._unit.settled()
            return
        await self._end(self._own_route(claims, connection_id), connection_id, Cause.CLIENT)

    async def _follow_replacement(self, claims: Claims, connection_id: str) -> None:
        """If the publication may be moving to another connection, wait for what the engine has reported so far.

        A page whose connection is replaced asks for its end as soon as the engine has closed it. The request can arrive
        before the engine's report that the other connection has taken over, and would then stop the publication.
        """
        registry = self._unit.registry
        route = registry.routes.get(connection_id)
        if route is None or route.kind is not ConnectionKind.PUBLISH or not _is_of(route, claims):
            return
        participant = registry.sessions[route.stage_arn].participants.get(route.participant_id)
        if participant is not None and participant.machine.replacement_id is not None:
            with contextlib.suppress(MediaRefusedError):
                await self._media.statistics([connection_id])

    async def patch(self, claims: Claims, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """Give a trickle or ICE-restart fragment to a media connection; `ice_session` None matches any.

        Raises ConnectionNotFoundError, OfferMalformedError, IceSessionMismatchError and ServerBusyError.
        """
        self._own_route(claims, connection_id)
        try:
            return await self._media.patch(connection_id=connection_id, fragment=fragment, ice_session=ice_session)
        except MediaRefusedError as error:
            if error.reason is RefusalReason.ICE_SESSION_MISMATCH:
                raise IceSessionMismatchError from error
            if error.reason in (RefusalReason.UNKNOWN_CONNECTION, RefusalReason.ENGINE_LOST):
                raise ConnectionNotFoundError from error
            if error.reason is RefusalReason.BUSY:
                raise ServerBusyError(error.detail) from error
            raise OfferMalformedError(error.detail) from error

    async def layers(self, claims: Claims, *, connection_id: str) -> VideoLayers:
        """Return the simulcast layers that a viewer's connection can choose.

        Raises ConnectionNotFoundError, also for a connection that publishes.
        """
        self._own_viewer(claims, connection_id)
        try:
            return await self._media.layers(connection_id=connection_id)
        except MediaRefusedError as error:
            raise ConnectionNotFoundError from error

    async def select_layer(self, claims: Claims, *, connection_id: str, choice: LayerChoice) -> None:
        """Let a viewer's connection choose what it is sent of the publisher.

        Raises ConnectionNotFoundError, LayerNotFoundError and ServerBusyError.
        """
        self._own_viewer(claims, connection_id)
        try:
            await self._media.select_layer(connection_id=connection_id, choice=choice)
        except MediaRefusedError as error:
            if error.reason is RefusalReason.UNKNOWN_LAYER:
                raise LayerNotFoundError from error
            if error.reason is RefusalReason.BUSY:
                raise ServerBusyError(error.detail) from error
            raise ConnectionNotFoundError from error

    def _own_viewer(self, claims: Claims, connection_id: str) -> None:
        if self._own_route(claims, connection_id).kind is not ConnectionKind.SUBSCRIBE:
            raise ConnectionNotFoundError

    def _own_route(self, claims: Claims, connection_id: str) -> Route:
        route = self._unit.registry.routes.get(connection_id)
        if route is None or route.kind not in MEDIA_KINDS or not _is_of(route, claims):
            raise ConnectionNotFoundError
        return route

    async def _end(self, route: Route, connection_id: str, cause: Cause) -> None:
        fact = ConnectionEnded(participant_id=route.participant_id, connection_id=connection_id, cause=cause)
        _, durable = self._unit.apply(self._unit.registry.sessions[route.stage_arn], fact)
        await self._unit.wait(durable)


def _is_of(route: Route, claims: Claims) -> bool:
    """Return whether a connection belongs to the participant of these claims."""
    return (route.stage_arn, route.participant_id) == (claims.stage_arn, claims.participant_id)
