"""WHIP (RFC 9725) and its mirror image for watching: offers in, answers out, resources to patch and to delete.

    POST   {whip}                              publish
    POST   {whip}/subscribe/{participantId}    watch one publisher
    PATCH  {whip}/resource/{connection id}     trickle candidates, ICE restart
    DELETE {whip}/resource/{connection id}     end it

Knows HTTP and the manager's face; SDP is opaque here.
"""

import re

from stagebook.api.participants.client_info import client_info
from stagebook.api.participants.http_exchange import (
    Receive,
    Response,
    Scope,
    bearer_token,
    header,
    read_text,
    require_content_type,
)
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.problem_responses import Header, RequestRefusedError
from stagebook.api.participants.request_limits import AttemptMeters, RequestLimits
from stagebook.manager.stage_manager import Opened
from stagebook.stage.claims import Claims

SDP = "application/sdp"
CONNECTION_TOKEN = b"connection-token"
"""The header with a connection token beside the participant token, in the two requests that open a connection."""
FRAGMENT = "application/trickle-ice-sdpfrag"
ACCEPT_POST: Header = (b"accept-post", SDP.encode())
ACCEPT_PATCH: Header = (b"accept-patch", FRAGMENT.encode())

PUBLISHER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_ENTITY_TAG = re.compile(r'"([\x21\x23-\x7e]*)"')


class Whip:
    """Serves the requests of one manager's participants."""

    def __init__(self, manager: ParticipantManager, *, limits: RequestLimits, attempts: AttemptMeters) -> None:
        self._manager = manager
        self._limits = limits
        self._attempts = attempts

    async def publish(self, scope: Scope, receive: Receive) -> Response:
        """Answer a publisher's offer (RFC 9725 section 4.2)."""
        claims, offer = await self._offer(scope, receive)
        client = client_info(header(scope, b"user-agent"))
        return self._created(await self._manager.publish(claims, offer=offer, client=client))

    async def subscribe(self, scope: Scope, receive: Receive, publisher_id: str) -> Response:
        """Answer a viewer's offer for one publisher, named by its participant id."""
        claims, offer = await self._offer(scope, receive)
        client = client_info(header(scope, b"user-agent"))
        opened = await self._manager.subscribe(claims, publisher_id=publisher_id, offer=offer, client=client)
        return self._created(opened)

    async def patch(self, scope: Scope, receive: Receive, connection_id: str) -> Response:
        """Take a fragment (RFC 9725 section 4.3): 204, or 200 with the server's fragment and the new ETag."""
        claims = self._manager.identify(bearer_token(scope))
        self._attempts.require(claims)
        require_content_type(scope, FRAGMENT, ACCEPT_PATCH)
        ice_session = _if_match(header(scope, b"if-match"))
        fragment = await read_text(
            scope,
            receive,
            size_bytes=self._limits.fragment_size_bytes,
            timeout_seconds=self._limits.body_timeout_seconds,
        )
        answer = await self._manager.patch(
            claims, connection_id=connection_id, fragment=fragment, ice_session=ice_session
        )
        if answer.fragment is None:
            return Response(status=204)
        headers = ((b"content-type", FRAGMENT.encode()), _etag(answer.ice_session))
        return Response(status=200, headers=headers, body=answer.fragment.encode("utf-8"))

    async def delete(self, scope: Scope, connection_id: str) -> Response:
        """End a connection (RFC 9725 section 4.2); an entity tag does not matter here."""
        claims = self._manager.identify(bearer_token(scope))
        await self._manager.close(claims, connection_id=connection_id)
        return Response(status=200)

    async def _offer(self, scope: Scope, receive: Receive) -> tuple[Claims, str]:
        claims = self._manager.admit(bearer_token(scope), connection_token=header(scope, CONNECTION_TOKEN))
        self._attempts.require(claims)
        require_content_type(scope, SDP, ACCEPT_POST)
        offer = await read_text(
            scope,
            receive,
            size_bytes=self._limits.offer_size_bytes,
            timeout_seconds=self._limits.body_timeout_seconds,
        )
        return claims, offer

    def _created(self, opened: Opened) -> Response:
        # Absolute: some WHIP clients do not resolve a relative Location against the address they were redirected to.
        location = f"{self._manager.endpoints.whip}/resource/{opened.connection_id}"
        headers = (
            (b"content-type", SDP.encode()),
            (b"location", location.encode("ascii")),
            _etag(opened.answer.ice_session),
            ACCEPT_PATCH,
        )
        return Response(status=201, headers=headers, body=opened.answer.sdp.encode("utf-8"))


def _etag(ice_session: str) -> Header:
    return (b"etag", f'"{ice_session}"'.encode("ascii"))


def _if_match(value: str | None) -> str | None:
    """Return the ICE session that a PATCH speaks of; None for any (`*`, an ICE restart: RFC 9725 section 4.3.3).

    Raises RequestRefusedError: 428 without the header, 412 for what cannot match strongly (RFC 9110 section 13.1.1).
    """
    if value is None:
        raise RequestRefusedError(
            status=428, code="IF_MATCH_REQUIRED", message='send If-Match with the current ETag, or "*" to restart ICE'
        )
    if value in {"*", '"*"'}:
        return None
    match = _ENTITY_TAG.fullmatch(value)
    if match is None:
        raise RequestRefusedError(
            status=412, code="ICE_SESSION_MISMATCH", message="If-Match must hold one strong entity tag"
        )
    return match[1]
