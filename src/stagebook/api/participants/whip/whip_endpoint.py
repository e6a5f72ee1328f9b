"""WHIP publishing (RFC 9725), and subscribing by the same exchange with the media in the other direction.

    POST   {whip}                              publish: SDP offer in, SDP answer out, 201 with a Location
    POST   {whip}/publish/{participantId}      the same, with the participant id of the token
    POST   {whip}/subscribe/{participantId}    subscribe to one publisher: the same
    PATCH  {whip}/resource/{connection id}     trickle ICE candidates, or an ICE restart
    DELETE {whip}/resource/{connection id}     end the connection

    OPTIONS the addresses that take a POST     what they accept: 204

The responses to POST, the 200 to PATCH, and the 204 to OPTIONS with a participant token name the STUN and TURN servers
of the settings (RFC 9725 section 4.6).

The ETag of a connection names its current ICE session. A PATCH carries it in If-Match, or `*` for an ICE restart (RFC
9725 section 4.3). SDP is passed to the media engine unparsed.
"""

import re

from stagebook.api.asgi import Header, Receive, Scope
from stagebook.api.http_body import BodyReader
from stagebook.api.http_responses import HttpResponse
from stagebook.api.participants.client_info import client_info
from stagebook.api.participants.http_requests import bearer_token, header, read_text, require_content_type
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.problem_responses import RequestRefusalCode, RequestRefusedError
from stagebook.api.participants.request_limits import AttemptRateLimiter, RequestLimits
from stagebook.api.participants.token_admission import TokenAdmission
from stagebook.api.participants.web_sdk_problems import SDK_HEADER
from stagebook.api.participants.whip.ice_server_headers import IceServerHeaders
from stagebook.api.participants.whip.layer_endpoint import initial_layer, layers_link
from stagebook.api.participants.whip.offer_turns import OfferTurns
from stagebook.manager.participants.offer_negotiation import Opened
from stagebook.stage.claims import Claims
from stagebook.stage.resources import ClientInfo

SDP = "application/sdp"
SDP_FRAGMENT = "application/trickle-ice-sdpfrag"
ACCEPT_POST: Header = (b"accept-post", SDP.encode())
ACCEPT_PATCH: Header = (b"accept-patch", SDP_FRAGMENT.encode())
CONNECTION_TOKEN_HEADER = b"connection-token"
"""Carries a connection token beside the participant token, in the two requests that open a connection."""

_ENTITY_TAG = re.compile(r'"([\x21\x23-\x7e]*)"')


class WhipEndpoint:
    """Handles the HTTP requests of all participants of one stage manager.

    The methods raise RequestRefusedError for a request that breaks a rule of HTTP or WHIP, and the stage manager's
    errors.
    """

    def __init__(
        self,
        manager: ParticipantManager,
        *,
        limits: RequestLimits,
        attempts: AttemptRateLimiter,
        admission: TokenAdmission,
        turns: OfferTurns,
        ice_servers: IceServerHeaders,
    ) -> None:
        self._manager = manager
        self._ice_servers = ice_servers
        self._admission = admission
        self._limits = limits
        self._attempts = attempts
        self._turns = turns
        self._bodies = BodyReader(timeout_seconds=limits.body_timeout_seconds)

    async def publish(self, scope: Scope, receive: Receive, participant_id: str | None = None) -> HttpResponse:
        """Open a publishing connection: 201 with the SDP answer (RFC 9725 section 4.2).

        `participant_id` is that of the path, if it has one: 403 unless it is the token's. The Web Broadcast SDK sends
        it (observed on the wire with versions 1.6 to 1.41).
        """
        claims, offer = await self._read_offer(scope, receive, participant_id=participant_id)
        client = _client_of(scope)
        async with self._turns.turn(claims):
            opened = await self._manager.publish(claims, offer=offer, client=client)
        return self._created(opened, claims)

    async def subscribe(self, scope: Scope, receive: Receive, publisher_id: str) -> HttpResponse:
        """Open a connection that receives one publisher, named by its participant id: 201 with the SDP answer."""
        claims, offer = await self._read_offer(scope, receive)
        client = _client_of(scope)
        async with self._turns.turn(claims):
            opened = await self._manager.subscribe(
                claims, publisher_id=publisher_id, offer=offer, client=client, initial_layer=initial_layer(scope)
            )
        return self._created(opened, claims)

    async def patch(self, scope: Scope, receive: Receive, connection_id: str) -> HttpResponse:
        """Apply a fragment (RFC 9725 section 4.3): 204, or 200 with the server's fragment and ETag after a restart."""
        # Not `admit`: a token that has expired since then still controls the connections that it opened.
        claims = self._admission.identify(scope, bearer_token(scope))
        self._attempts.require(claims)
        require_content_type(scope, SDP_FRAGMENT, ACCEPT_PATCH)
        ice_session = _if_match(header(scope, b"if-match"))
        fragment = await read_text(scope, receive, self._bodies, max_size_bytes=self._limits.fragment_size_bytes)
        answer = await self._manager.patch(
            claims, connection_id=connection_id, fragment=fragment, ice_session=ice_session
        )
        if answer.fragment is None:
            return HttpResponse(status=204)
        # The client gathers candidates anew, perhaps after its TURN credentials have expired.
        links = self._ice_servers.for_participant(claims.participant_id)
        headers = ((b"content-type", SDP_FRAGMENT.encode()), _etag(answer.ice_session), *links)
        return HttpResponse(status=200, headers=headers, body=answer.fragment.encode("utf-8"))

    def options(self, scope: Scope) -> tuple[Header, ...]:
        """Return the header fields of STUN and TURN servers for OPTIONS of an address that takes a POST.

        Some clients cannot change their servers after they have made the offer (RFC 9725 section 4.6). Without an
        Authorization header, thus in every preflight of a browser, the result is empty. The token is checked, and
        refused, as in a POST.
        """
        if not self._ice_servers or header(scope, b"authorization") is None:
            return ()
        claims = self._admission.admit(
            scope, bearer_token(scope), connection_token=header(scope, CONNECTION_TOKEN_HEADER)
        )
        self._attempts.require(claims)
        return self._ice_servers.for_participant(claims.participant_id)

    async def delete(self, scope: Scope, connection_id: str) -> HttpResponse:
        """End a connection (RFC 9725 section 4.2). If-Match is ignored. The token may have expired."""
        claims = self._admission.identify(scope, bearer_token(scope))
        await self._manager.close(claims, connection_id=connection_id)
        return HttpResponse(status=200)

    async def _read_offer(
        self, scope: Scope, receive: Receive, *, participant_id: str | None = None
    ) -> tuple[Claims, str]:
        # The token and the rate come first, so that an unauthenticated client cannot make the server read a body.
        claims = self._admission.admit(
            scope, bearer_token(scope), connection_token=header(scope, CONNECTION_TOKEN_HEADER)
        )
        self._attempts.require(claims)
        if participant_id is not None:
            _require_participant(claims, participant_id)
        require_content_type(scope, SDP, ACCEPT_POST)
        offer = await read_text(scope, receive, self._bodies, max_size_bytes=self._limits.offer_size_bytes)
        return claims, offer

    def _created(self, opened: Opened, claims: Claims) -> HttpResponse:
        # An absolute URL: after a redirect, some WHIP clients resolve a relative one against the original URL.
        location = f"{self._manager.endpoints.whip}/resource/{opened.connection_id}"
        headers = (
            (b"content-type", SDP.encode()),
            (b"location", location.encode("ascii")),
            _etag(opened.answer.ice_session),
            ACCEPT_PATCH,
            *((layers_link(location),) if opened.answer.has_layers else ()),
            *self._ice_servers.for_participant(claims.participant_id),
        )
        return HttpResponse(status=201, headers=headers, body=opened.answer.sdp.encode("utf-8"))


def _require_participant(claims: Claims, participant_id: str) -> None:
    """Raise RequestRefusedError 403 unless the participant of the path is that of the token."""
    if claims.participant_id != participant_id:
        raise RequestRefusedError(
            status=403,
            code=RequestRefusalCode.PARTICIPANT_MISMATCH,
            message="the path names another participant than the token",
        )


def _client_of(scope: Scope) -> ClientInfo:
    return client_info(header(scope, b"user-agent"), sdk_version=header(scope, SDK_HEADER))


def _etag(ice_session: str) -> Header:
    return (b"etag", f'"{ice_session}"'.encode("ascii"))


def _if_match(value: str | None) -> str | None:
    """Return the ICE session that If-Match names; None for any (`*`, an ICE restart: RFC 9725 section 4.3.3).

    Raises RequestRefusedError: 428 without the header field, 412 for anything but one strong entity tag, which is the
    only form that If-Match can match (RFC 9110 section 13.1.1).
    """
    if value is None:
        raise RequestRefusedError(
            status=428,
            code=RequestRefusalCode.IF_MATCH_REQUIRED,
            message='send If-Match with the current ETag, or "*" to restart ICE',
        )
    if value in {"*", '"*"'}:
        return None
    match = _ENTITY_TAG.fullmatch(value)
    if match is None:
        raise RequestRefusedError(
            status=412, code=RequestRefusalCode.ICE_SESSION_MISMATCH, message="If-Match must hold one strong entity tag"
        )
    return match[1]
