"""The connection token that counts for a media request which carries none.

A client that joined a stage over a websocket with a connection token may open its media connections with HTTP requests
that carry only the participant token. Such a request counts as made beside the connection token that the participant
has a connection with, so that a revocation covers it.
"""

from msgspec.structs import replace

from stagebook.manager.session.session_registry import SessionRegistry
from stagebook.stage.claims import Claims


def accompanied(registry: SessionRegistry, claims: Claims) -> Claims:
    """Return the claims of a media request, with the connection token of one of the participant's connections.

    Unchanged if the request has a connection token, or the participant has no connection with one.
    """
    session = registry.sessions.get(claims.stage_arn)
    participant = None if session is None else session.participants.get(claims.participant_id)
    if claims.connection_token_id is not None or participant is None:
        return claims
    for connection_id in participant.machine.connections:
        route = registry.routes.get(connection_id)
        if route is not None and route.connection_token_id is not None:
            return replace(claims, connection_token_id=route.connection_token_id)
    return claims
