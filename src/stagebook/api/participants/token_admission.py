"""Verification of the tokens of a request, with a limit on invalid ones for each address.

Checking a signature takes 0.9 ms of the event loop, and anybody can send a token that needs one. So each address has a
token bucket of invalid tokens. While it is empty, the address may still use tokens that are known (see
`TokenAuthority.is_known`): participants that share an address with an attacker, behind a NAT, stay connected and can
open further connections, but a participant with a new token has to try again. Valid tokens are not counted, nor are
repetitions of an invalid token, which cost nothing.

IPv6 addresses are grouped by network (`client_network.py`). Behind a reverse proxy, the address is that of
X-Forwarded-For if the proxy is in the setting `trusted_proxies`; otherwise all clients have the proxy's address.
"""

from collections.abc import Callable
from typing import TypeVar

from stagebook.api.access.token_bucket import TokenBuckets
from stagebook.api.asgi import Scope
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.request_limits import RequestLimits, too_many_requests
from stagebook.client_network import network_of
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError

AnyClaims = TypeVar("AnyClaims", Claims, ConnectionClaims)

INVALID = frozenset({TokenRefusal.MALFORMED, TokenRefusal.SIGNATURE, TokenRefusal.STAGE_MISMATCH})
"""Refusals that count against the address: the token was never valid. Tokens with another refusal have been valid."""


class TokenAdmission:
    """Verifies the tokens of all requests of one API.

    At most `tracked_addresses` of RequestLimits have a bucket; the least recently used one is dropped.
    """

    def __init__(self, manager: ParticipantManager, *, limits: RequestLimits, monotonic: Callable[[], float]) -> None:
        self._manager = manager
        self._buckets = TokenBuckets(
            burst=limits.invalid_tokens_burst,
            per_second=limits.invalid_tokens_per_second,
            monotonic=monotonic,
            maximum=limits.tracked_addresses,
        )

    def admit(self, scope: Scope, token: str, *, connection_token: str | None) -> Claims:
        """Return the claims of a valid participant token, optionally with a connection token beside it.

        Raises TokenRefusedError, and RequestRefusedError 429 above the limit of the address.
        """
        tokens = [token] if connection_token is None else [token, connection_token]
        return self._verify(scope, tokens, lambda: self._manager.admit(token, connection_token=connection_token))

    def admit_connection(self, scope: Scope, token: str) -> ConnectionClaims:
        """Return the claims of a connection token that is valid and not revoked; raise as `admit` does."""
        return self._verify(scope, [token], lambda: self._manager.admit_connection(token))

    def identify(self, scope: Scope, token: str) -> Claims:
        """Return the claims of a participant token that may have expired; raise as `admit` does."""
        return self._verify(scope, [token], lambda: self._manager.identify(token))

    def _verify(self, scope: Scope, tokens: list[str], verify: Callable[[], AnyClaims]) -> AnyClaims:
        if all(self._manager.is_known(token) for token in tokens):
            return verify()
        network = network_of((scope.get("client") or ("",))[0])
        if not self._buckets.has_unit(network):
            raise too_many_requests("too many invalid tokens from this address")
        try:
            return verify()
        except TokenRefusedError as error:
            # A refused connection token is reported with a reason of its own, whatever is wrong with it.
            if error.refusal in INVALID or error.refusal is TokenRefusal.CONNECTION_TOKEN:
                self._buckets.take(network)
            raise
