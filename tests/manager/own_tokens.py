"""Self-signed tokens for the manager harness: an imported key, and tokens with any claims.

The tokens of the harness are not signed. Signatures are tested with the token authority.
"""

from msgspec.structs import replace

from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.resources import Capability, PublicKey, Stage
from tests.clients.own_key import OwnKey
from tests.manager.manager_harness import ACCOUNT, REGION, ManagerHarness


class OwnTokens:
    """Creates self-signed tokens for one stage."""

    def __init__(self, harness: ManagerHarness, stage: Stage, key: PublicKey) -> None:
        self.harness, self.stage, self.key = harness, stage, key

    def claims(self, participant_id: str, *capabilities: Capability, user_id: str = "ada", **changes: object) -> Claims:
        """Return the claims of a token; without capabilities it allows nothing. `changes` replace members of Claims."""
        claims = replace(
            self.harness.claims(self.stage, participant_id),
            capabilities=frozenset(capabilities),
            user_id=user_id,
            attributes={"role": user_id},
            issued_at_seconds=self.harness.clock.ms // 1_000,
            key_arn=self.key.arn,
        )
        return replace(claims, **changes)

    def token(self, claims: Claims) -> str:
        """Return a token with these claims."""
        token = f"token-{len(self.harness.tokens.known)}"
        self.harness.tokens.known[token] = claims
        return token

    def connection_token(self, token_id: str, **changes: object) -> str:
        """Return a connection token with this id. `changes` replace members of its claims."""
        claims = ConnectionClaims(
            token_id=token_id,
            account_id=ACCOUNT,
            region=REGION,
            key_arn=self.key.arn,
            issued_at_seconds=self.harness.clock.ms // 1_000,
            expires_at_seconds=self.harness.clock.ms // 1_000 + 3_600,
        )
        self.harness.tokens.connections[token_id] = replace(claims, **changes)
        return token_id


async def own_tokens(harness: ManagerHarness, stage: Stage | None = None) -> OwnTokens:
    """Import a public key and return a creator of tokens that name it."""
    key = await harness.manager.public_keys.import_key(
        account_id=ACCOUNT, name="", tags={}, material=OwnKey().public_pem
    )
    return OwnTokens(harness, stage or await harness.stage(), key)
