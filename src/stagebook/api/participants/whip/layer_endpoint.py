"""The simulcast layers of a viewer's connection (draft-ietf-wish-whep-02, "Video Layer Selection extension").

    GET  {whip}/resource/{connection id}/layers     the layers, as JSON
    POST {whip}/resource/{connection id}/layers     choose one, or return to the server's choice: 200 with {}

The `Link` header field of a subscription's 201 names the resource, if the publisher has simulcast. The Web Broadcast
SDK polls it, so these requests have a rate of their own and do not count as attempts to join.
"""

from stagebook.api.asgi import Header, Receive, Scope
from stagebook.api.http_body import BodyReader
from stagebook.api.http_responses import HttpResponse
from stagebook.api.participants.http_requests import bearer_token, header, read_text, require_content_type
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.request_limits import AttemptRateLimiter, RequestLimits
from stagebook.api.participants.token_admission import TokenAdmission
from stagebook.api.participants.whip.layer_messages import layer_list, parse_choice
from stagebook.media.port import InitialLayer
from stagebook.stage.claims import Claims

INITIAL_LAYER_HEADER = b"x-stages-initial-layer-pref"
"""Carries `lowest` or `highest` in a subscription of the Web Broadcast SDK, by its InitialLayerPreference."""
_JSON = "application/json"
ACCEPT_CHOICE: Header = (b"accept-post", _JSON.encode())
_RELATION = "urn:ietf:params:whep:ext:core:layer"
_RESPONSE_HEADERS: tuple[Header, ...] = (
    (b"content-type", _JSON.encode()),
    # The list is another one in the next second.
    (b"cache-control", b"no-store"),
)
_PREFERENCES = {preference.value: preference for preference in InitialLayer}


class LayerEndpoint:
    """Handles the requests about layers of all participants of one stage manager.

    The methods raise RequestRefusedError for a request that breaks a rule of HTTP, and the stage manager's errors.
    """

    def __init__(
        self,
        manager: ParticipantManager,
        *,
        limits: RequestLimits,
        rate: AttemptRateLimiter,
        admission: TokenAdmission,
    ) -> None:
        """`rate` limits these requests alone."""
        self._manager = manager
        self._limits = limits
        self._rate = rate
        self._admission = admission
        self._bodies = BodyReader(timeout_seconds=limits.body_timeout_seconds)

    async def list_layers(self, scope: Scope, connection_id: str) -> HttpResponse:
        """Return the layers of the publisher that the connection can choose: 200."""
        claims = self._claims(scope)
        listed = await self._manager.layers(claims, connection_id=connection_id)
        return HttpResponse(status=200, headers=_RESPONSE_HEADERS, body=layer_list(listed))

    async def select_layer(self, scope: Scope, receive: Receive, connection_id: str) -> HttpResponse:
        """Choose a layer or nothing, or return to the server's choice: 200. It takes effect with the next keyframe."""
        claims = self._claims(scope)
        require_content_type(scope, _JSON, ACCEPT_CHOICE)
        body = await read_text(scope, receive, self._bodies, max_size_bytes=self._limits.layer_choice_size_bytes)
        await self._manager.select_layer(claims, connection_id=connection_id, choice=parse_choice(body))
        return HttpResponse(status=200, headers=_RESPONSE_HEADERS, body=b"{}")

    def _claims(self, scope: Scope) -> Claims:
        # Not `admit`: a token that has expired since then still controls the connections that it opened.
        claims = self._admission.identify(scope, bearer_token(scope))
        self._rate.require(claims)
        return claims


def initial_layer(scope: Scope) -> InitialLayer | None:
    """Return the layer that a subscription asks to begin with; None without a known value."""
    return preferred_layer(header(scope, INITIAL_LAYER_HEADER) or "")


def preferred_layer(text: str) -> InitialLayer | None:
    """Return the layer that the SDK's preference names; None for an unknown one."""
    return _PREFERENCES.get(text.lower())


def layers_link(resource: str) -> Header:
    """Return the header field that announces the layers of the connection with this absolute URL (RFC 8288)."""
    return (b"link", f'<{resource}/layers>; rel="{_RELATION}"'.encode("ascii"))
