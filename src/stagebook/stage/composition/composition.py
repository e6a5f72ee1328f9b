"""A composition and its destinations, as the book stores them (API reference, Composition and Destination).

Members have the meaning of the shapes with the same names in the `ivs-realtime` model. `configuration` and `layout` are
JSON with the member names of the model and with every default, because the rules of this package do not depend on them.
"""

from enum import StrEnum
from typing import Any

import msgspec

KEPT_MS = 5 * 60_000
"""How long Get and ListCompositions show a composition after its end (user guide, "Composition Life Cycle")."""


class CompositionState(StrEnum):
    """Shape CompositionState."""

    STARTING = "STARTING"
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in (CompositionState.FAILED, CompositionState.STOPPED)


class DestinationState(StrEnum):
    """Shape DestinationState."""

    STARTING = "STARTING"
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"
    RECONNECTING = "RECONNECTING"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in (DestinationState.FAILED, DestinationState.STOPPED)


class CompositionDestination(msgspec.Struct, frozen=True, kw_only=True):
    """Shape Destination. `recording_prefix` is the key prefix in the bucket of an S3 destination."""

    destination_id: str
    configuration: dict[str, Any]
    recording_prefix: str | None = None
    state: DestinationState = DestinationState.STARTING
    start_ms: int | None = None
    """When it first took what is composed."""
    end_ms: int | None = None

    @property
    def channel_arn(self) -> str | None:
        """The channel of a channel destination."""
        channel = self.configuration.get("channel")
        return None if channel is None else str(channel["channelArn"])

    @property
    def configuration_arns(self) -> frozenset[str]:
        """The ARNs of its encoder and storage configurations."""
        channel, s3 = self.configuration.get("channel", {}), self.configuration.get("s3", {})
        arns = (
            channel.get("encoderConfigurationArn"),
            s3.get("storageConfigurationArn"),
            *s3.get("encoderConfigurationArns", ()),
        )
        return frozenset(arn for arn in arns if arn)


class Composition(msgspec.Struct, frozen=True, kw_only=True):
    """Shape Composition.

    `client_token` is the idempotencyToken, and `parameters` a digest of the other parameters of StartComposition.
    """

    arn: str
    account_id: str
    stage_arn: str
    start_ms: int
    layout: dict[str, Any]
    destinations: tuple[CompositionDestination, ...]
    tags: dict[str, str] = {}
    state: CompositionState = CompositionState.STARTING
    end_ms: int | None = None
    client_token: str | None = None
    parameters: str = ""

    @property
    def composition_id(self) -> str:
        """The id at the end of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def configuration_arns(self) -> frozenset[str]:
        """The ARNs of the encoder and storage configurations that it uses."""
        return frozenset().union(*(each.configuration_arns for each in self.destinations))

    def is_shown(self, now_ms: int) -> bool:
        """Return whether GetComposition and ListCompositions show it at a time in ms since the epoch."""
        return self.end_ms is None or self.end_ms > now_ms - KEPT_MS
