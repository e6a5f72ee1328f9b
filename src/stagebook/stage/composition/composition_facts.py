"""What can happen to a composition that runs: requests, reports of what composes, and the passing of time."""

from typing import TypeAlias

import msgspec

from stagebook.stage.composition.composition_events import CompositionCause, CompositionErrorCode


class DestinationActive(msgspec.Struct, frozen=True, kw_only=True):
    """A destination takes what is composed."""

    destination_id: str


class DestinationLost(msgspec.Struct, frozen=True, kw_only=True):
    """A destination was lost, and is tried again."""

    destination_id: str


class DestinationComplete(msgspec.Struct, frozen=True, kw_only=True):
    """A destination has everything, and is closed."""

    destination_id: str


class DestinationBroken(msgspec.Struct, frozen=True, kw_only=True):
    """A destination has failed permanently."""

    destination_id: str
    error_code: CompositionErrorCode


class ComposerLost(msgspec.Struct, frozen=True, kw_only=True):
    """What composes is gone: its process has ended, or the server was interrupted."""

    cause: CompositionCause = CompositionCause.ENGINE_LOST


class PublishersSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the stage has a publisher."""

    are_present: bool


class StopAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The composition is to stop: StopComposition, or the end of the server."""

    cause: CompositionCause = CompositionCause.STOPPED_BY_API


class StageGone(msgspec.Struct, frozen=True, kw_only=True):
    """The stage is deleted."""


class TimePassed(msgspec.Struct, frozen=True, kw_only=True):
    """Time has passed: what is due happens."""


CompositionChange: TypeAlias = (
    DestinationActive
    | DestinationLost
    | DestinationComplete
    | DestinationBroken
    | ComposerLost
    | PublishersSeen
    | StopAsked
    | StageGone
    | TimePassed
)
