"""Which of a participant's tokens counts: while it is on a stage, the newest one that it has.

A `jti` names one participant of a stage. Tokens that the server mints are one for each participant; whoever signs
tokens with a key of its own can make several for the same `jti`, and exchanges one for another on the way.
"""

from msgspec.structs import replace

from stagebook.manager.session.running_sessions import LiveParticipant
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError


def counting_claims(live: LiveParticipant | None, shown: Claims) -> Claims:
    """Return the claims that count when a participant shows these.

    On the stage these are the claims of the token that it has there; one that it has exchanged away still tells who it
    is, and gives no more than the newest. Raises TokenRefusedError (JTI_IN_USE) for another token with its `jti`.
    """
    if live is None or not live.machine.connections:
        return shown
    token = of_token(shown)
    if token == live.claims or token in live.former_claims:
        return live.claims
    if token.key_arn is None and live.claims.key_arn is None:
        return token
    raise TokenRefusedError(
        refusal=TokenRefusal.JTI_IN_USE,
        detail="a participant with this token's jti is on the stage with another token",
    )


def of_token(claims: Claims) -> Claims:
    """Return what the participant token itself says, whatever connection it came by."""
    return claims if claims.connection_token_id is None else replace(claims, connection_token_id=None)
