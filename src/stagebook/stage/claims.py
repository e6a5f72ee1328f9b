"""What lets a participant in: what its token says, once the signature has been verified (user guide, "Distribute
Participant Tokens"), or the ingest configuration whose stream key its encoder used (user guide, "RTMP Publishing")."""

import msgspec
from msgspec.structs import replace

from stagebook.stage.resources import Capability, IngestConfiguration, ParticipantProtocol

DEFAULT_DURATION_MINUTES = 720
"""How long a token lives when CreateParticipantToken is not told (API reference, CreateParticipantToken)."""


NEVER_SECONDS = 253_402_300_799
"""The end of the year 9999 in Unix seconds: when the right of an ingest configuration's participant ends."""


class IngestOrigin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a participant came who has no token: through which ingest configuration and by which protocol.

    With redundant ingest a configuration has three participants: two redundant streams, for which `feeds` is the
    virtual participant that shows them, and that virtual participant, which has no connection of its own.
    """

    configuration_arn: str
    protocol: ParticipantProtocol
    is_redundant: bool = False
    feeds: str | None = None


class Claims(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant's rights on one stage. `participant_id` is the token's `jti`; times are Unix seconds.

    Who came by an ingest configuration has an `ingest` and no token.
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
    """The connection token that the participant token came with. No part of the participant token."""
    ingest: IngestOrigin | None = None


def ingest_claims(configuration: IngestConfiguration, *, participant_id: str, protocol: ParticipantProtocol) -> Claims:
    """Return the rights of one participant of a configuration on the stage it is attached to: to publish, no more."""
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
    """Return the rights of the virtual participant that shows a redundant stream, given the stream's."""
    if stream.ingest is None or stream.ingest.feeds is None:
        raise ValueError(f"participant {stream.participant_id} is no redundant stream")
    return replace(stream, participant_id=stream.ingest.feeds, ingest=replace(stream.ingest, feeds=None))


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
