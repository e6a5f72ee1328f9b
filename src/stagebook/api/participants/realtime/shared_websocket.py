"""The handshake and the lifetime of a websocket that several stages share.

    GET {origin of events_url}/sanic?error_over_ws=1
    Sec-WebSocket-Protocol: <connection token>, <logical id>~<participant token>, ...

This is the address of RealTimeConnection in Amazon's Web Broadcast SDK, observed on the wire with version 1.41.0. The
first subprotocol is the connection token, which the server selects; each further one is a stage to join. A connection
token is mandatory: it says which account and region the participant tokens must be of, and it can be revoked.

The participant tokens are checked one by one, and a refused one does not refuse the websocket. The connection token is
checked in the handshake and again with each join, so that one that has expired since joins no further stage.
"""

from collections.abc import Callable

from msgspec.structs import replace

from stagebook.api.asgi import ObservedSend, Receive, Scope
from stagebook.api.participants.client_info import client_info
from stagebook.api.participants.dialects.events_address import takes_join_errors
from stagebook.api.participants.dialects.join_errors import sdk_join_error
from stagebook.api.participants.dialects.sdk_dialect import SdkDialect
from stagebook.api.participants.http_requests import header
from stagebook.api.participants.participant_joins import JoinRequest, ParticipantJoins
from stagebook.api.participants.problem_responses import NO_TOKEN, Problem, RequestRefusalCode, RequestRefusedError
from stagebook.api.participants.realtime.shared_channel import SharedChannel, handshake_join
from stagebook.api.participants.realtime.shared_messages import is_logical_id
from stagebook.api.participants.realtime.shared_offers import OfferExchange
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.participants.token_admission import TokenAdmission
from stagebook.api.participants.websocket_transport import (
    ConnectionClose,
    accept_and_close,
    transport_for,
)
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.resources import ClientInfo

SHARED_PATH = "/sanic"

JOIN_ERROR_CODES: dict[TokenRefusal, str] = {
    TokenRefusal.EXPIRED: "TOKEN_EXPIRED",
    TokenRefusal.CONNECTION_TOKEN: "TOKEN_REVOKED",
}
"""The code of a refused connection token. Any other refusal has TOKEN_INVALID."""

_SDK = SdkDialect()


class SharedEndpoint:
    """Serves the shared websockets of all clients of one stage manager. `problem_of` is as in SharedChannel."""

    def __init__(
        self,
        *,
        joins: ParticipantJoins,
        exchange: OfferExchange,
        limits: RequestLimits,
        admission: TokenAdmission,
        problem_of: Callable[[Exception], Problem],
        monotonic: Callable[[], float],
    ) -> None:
        self._joins = joins
        self._exchange = exchange
        self._problem_of = problem_of
        self._limits = limits
        self._transport_limits = _shared_limits(limits)
        self._admission = admission
        self._monotonic = monotonic

    async def serve(self, scope: Scope, receive: Receive, send: ObservedSend) -> None:
        """Serve one websocket from its handshake to its end. `websocket.connect` has been received already.

        Raises RequestRefusedError or a StagebookError before the handshake is accepted.
        """
        connection_token, offered = _offered(scope["subprotocols"])
        transport = transport_for(scope, limits=self._transport_limits, monotonic=self._monotonic)
        try:
            self._admission.admit_connection(scope, connection_token)
        except TokenRefusedError as error:
            if not takes_join_errors(scope.get("query_string") or b""):
                raise
            await accept_and_close(transport, send, _refusal(error), subprotocol=connection_token)
            return
        request_of = self._request_maker(scope, connection_token)
        # This value stays when the task is cancelled, which the HTTP server does when it stops.
        close = ConnectionClose(cause=Cause.SHUTDOWN)
        channel = SharedChannel(
            transport,
            joins=self._joins,
            exchange=self._exchange,
            request_of=request_of,
            problem_of=self._problem_of,
            limits=self._limits,
        )
        try:
            await send({"type": "websocket.accept", "subprotocol": connection_token, "headers": []})
            # The coroutines of an open websocket hold the scope, whose header fields can have 64 KiB.
            scope.clear()
            while offered:
                logical_id, token = offered.pop(0)
                await channel.join(logical_id, handshake_join(logical_id, token))
                del token
            close = await transport.run(channel, receive, send.unobserved)
            await transport.close(send.unobserved, close)
        except OSError:
            close = ConnectionClose(cause=Cause.PEER_LOST)
        finally:
            await channel.leave_all(close.cause or Cause.SHUTDOWN)

    def _request_maker(self, scope: Scope, connection_token: str) -> Callable[[str], JoinRequest]:
        """Return the function that verifies a participant token of this websocket."""
        # Without the header fields: what this function holds lives as long as the websocket.
        address: Scope = {"client": scope.get("client")}
        client: ClientInfo = client_info(header(scope, b"user-agent"))

        def request_of(token: str) -> JoinRequest:
            claims = self._admission.admit(address, token, connection_token=connection_token)
            return JoinRequest(claims=claims, client=client, dialect=_SDK, publishers_only=True, is_sole=True)

        return request_of


def _offered(subprotocols: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the connection token, and the logical id and participant token of each offered stage.

    An offer that is no logical id and token cannot be answered, and is ignored.
    """
    if not subprotocols:
        raise RequestRefusedError(
            status=401,
            code=RequestRefusalCode.NO_TOKEN,
            message="offer the connection token as the first subprotocol",
            headers=(NO_TOKEN,),
        )
    pairs = (offered.partition("~") for offered in subprotocols[1:])
    return subprotocols[0], [(name, token) for name, mark, token in pairs if mark and is_logical_id(name)]


def _shared_limits(limits: RequestLimits) -> RequestLimits:
    """Return the limits of a websocket, with the rate of messages of one that several stages share."""
    return replace(
        limits,
        events_messages_burst=limits.shared_messages_burst,
        events_messages_per_second=limits.shared_messages_per_second,
    )


def _refusal(error: TokenRefusedError) -> ConnectionClose:
    """Return the end of a websocket whose connection token is refused."""
    code = JOIN_ERROR_CODES.get(error.refusal, "TOKEN_INVALID")
    return ConnectionClose(
        cause=None, close_code=1008, close_reason=code, last_message=sdk_join_error(code, str(error))
    )
