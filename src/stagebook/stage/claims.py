"""The rights of a participant on a stage, and where they come from.

A WebRTC participant gets them from its participant token, after the signature has been verified (user guide,
"Distribute Participant Tokens"). An encoder gets them from the ingest configuration whose stream key it used (user
guide, "RTMP Publishing"). Both are `Claims`, so the rules of a session treat both alike.
"""

import msgspec
from msgspec.structs import replace

from stagebook.stage.resources import Capability, IngestConfiguration, ParticipantProtocol

DEFAULT_DURATION_MINUTES = 720
"""Lifetime of a token when the request has no `duration` (API reference, CreateParticipantToken)."""


NEVER_SECONDS = 253_402_300_799
"""The end of the year 9999 in Unix seconds: the expiry of an encoder's claims, which have no expiry of their own."""


class IngestOrigin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The ingest configuration and the protocol of a participant that publishes with a stream key instead of a token.

    With redundant ingest a configuration has three participants: two redundant streams, and the virtual participant
    that viewers subscribe to. The virtual participant has no connection in an engine. `feeds` is the id of the virtual
    participant in the claims of a redundant stream, and None in all other claims.
    """

    configuration_arn: str
    protocol: ParticipantProtocol
    is_redundant: bool = False
    feeds: str | None = None


class Claims(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant's rights on one stage. `participant_id` is the token's `jti`; times are Unix seconds.

    The claims of a participant that publishes with a stream key have an `ingest`, and were not read from a token.
    """

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
    """The id of the connection token that the client presented together with the participant token."""
    ingest: IngestOrigin | None = None


def ingest_claims(configuration: IngestConfiguration, *, participant_id: str, protocol: ParticipantProtocol) -> Claims:
    """Return the claims of one participant of an ingest configuration on the stage that it is attached to.

    `participant_id` is the configuration's own, or that of one of its redundant credentials. The only capability is
    PUBLISH: an encoder cannot subscribe.
    """
    is_stream = participant_id != configuration.participant_id
    return Claims(
        participant_id=participant_id,
        stage_arn=configuration.stage_arn,
        capabilities=frozenset({Capability.PUBLISH}),
        user_id=configuration.user_id,
        attributes=configuration.attributes,
        expires_at_seconds=NEVER_SECONDS,
        ingest=IngestOrigin(
            configuration_arn=configuration.arn,
            protocol=protocol,
            is_redundant=configuration.redundant_ingest,
            feeds=configuration.participant_id if is_stream else None,
        ),
    )


def virtual_claims(stream: Claims) -> Claims:
    """Return the claims of the virtual participant that a redundant stream feeds, given the stream's claims.

    Raises ValueError if the claims are not those of a redundant stream.
    """
    if stream.ingest is None or stream.ingest.feeds is None:
        raise ValueError(f"participant {stream.participant_id} is no redundant stream")
    return replace(stream, participant_id=stream.ingest.feeds, ingest=replace(stream.ingest, feeds=None))


class ConnectionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a connection token. `token_id` is its `jti`; times are Unix seconds."""

    token_id: str
    account_id: str
    region: str
    key_arn: str
    issued_at_seconds: int
    expires_at_seconds: int


class TokenSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The input of CreateParticipantToken without the stage ARN. None stands for a member that was not given."""

    duration_minutes: int | None = None
    user_id: str | None = None
    attributes: dict[str, str] | None = None
    capabilities: tuple[Capability, ...] | None = None


class MintedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A new token and the input that it was made from. `expiration_ms` is in milliseconds of Unix time."""

    participant_id: str
    token: str
    expiration_ms: int
    spec: TokenSpec
