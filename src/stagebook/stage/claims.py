"""What a participant token says, once its signature has been verified (user guide, "Distribute Participant Tokens")."""

import msgspec

from stagebook.stage.resources import Capability

DEFAULT_DURATION_MINUTES = 720
"""How long a token lives when CreateParticipantToken is not told (API reference, CreateParticipantToken)."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant's rights on one stage. `participant_id` is the token's `jti`; times are Unix seconds."""

    participant_id: str
    stage_arn: str
    capabilities: frozenset[Capability]
    user_id: str = ""
    attributes: dict[str, str] = {}
    issued_at_seconds: int | None = None
    expires_at_seconds: int
    key_arn: str | None = None
    """The imported public key that signed a self-signed token; None for tokens that this server minted."""
    connection_token_id: str | None = None
    """The connection token that the participant token came with. No part of the participant token."""


class ConnectionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection token says: its `jti`, the account and region it connects to, and until when."""

    token_id: str
    account_id: str
    region: str
    key_arn: str
    issued_at_seconds: int
    expires_at_seconds: int


class TokenSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks of a new token: the input of CreateParticipantToken without its stage. None: not given."""

    duration_minutes: int | None = None
    user_id: str | None = None
    attributes: dict[str, str] | None = None
    capabilities: tuple[Capability, ...] | None = None


class MintedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A new token, and what it was made from."""

    participant_id: str
    token: str
    expiration_ms: int
    spec: TokenSpec
