"""The values of a scenario: stages, groups of participants, steps, and the events that are expected at the end.

The members are those of the YAML file. The types say what a member must be; `scenario_file` checks what holds between
several members.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

MAXIMUM_PARTICIPANTS = 20_000
MAXIMUM_STEPS = 5_000

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Duration = float | Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Attributes = Annotated[dict[str, str], msgspec.Meta(max_length=50)]


class Media(StrEnum):
    """What a participant sends. Without media, the server needs `--testing`."""

    NONE = "none"
    GENERATED = "generated"


class Action(StrEnum):
    """What a step does. Those of participants have the names of the testing API."""

    JOIN = "join"
    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    FAIL_JOIN = "fail-join"
    FAIL_PUBLISH = "fail-publish"
    FAIL_SUBSCRIBE = "fail-subscribe"
    LOSE_CONNECTION = "lose-connection"
    EXCHANGE_TOKEN = "exchange-token"  # noqa: S105 - the name of an action
    MUTE = "mute"
    LEAVE = "leave"
    DISCONNECT = "disconnect"
    START_REPLICATION = "start-replication"
    STOP_REPLICATION = "stop-replication"
    DELETE_STAGE = "delete-stage"
    FAULT = "fault"
    ADVANCE_CLOCK = "advance-clock"


class ScenarioPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A part of a scenario. A member that it does not have is an error."""


class StagePart(ScenarioPart, frozen=True, kw_only=True):
    """A stage that is created for the scenario. `title` is its name in the AWS API; default: that of the scenario."""

    title: str | None = None
    tags: dict[str, str] = {}


class ParticipantGroup(ScenarioPart, frozen=True, kw_only=True):
    """One participant, or `count` of them that are called `<name>-1` and so on. `user_id` defaults to the name."""

    stage: Name
    count: Annotated[int, msgspec.Meta(ge=1, le=MAXIMUM_PARTICIPANTS)] = 1
    user_id: str | None = None
    attributes: Attributes = {}
    capabilities: Annotated[tuple[str, ...], msgspec.Meta(max_length=2)] = ("PUBLISH", "SUBSCRIBE")
    media: Media = Media.NONE


class ScenarioStep(ScenarioPart, frozen=True, kw_only=True):
    """What happens at a time. `at` and `over` are durations: since the start, and that a group takes to follow.

    `who` and `to` name participants, groups or, for `delete-stage` and replication, `stage` a stage. The other members
    belong to single actions, see `scenario_file`.
    """

    at: Duration
    do: Action
    who: Name | None = None
    to: Name | None = None
    over: Duration = 0
    stage: Name | None = None
    error_code: str | None = None
    audio_muted: bool | None = None
    video_stopped: bool | None = None
    user_id: str | None = None
    attributes: Attributes | None = None
    capabilities: Annotated[tuple[str, ...], msgspec.Meta(max_length=2)] | None = None
    operation: str | None = None
    kind: str | None = None
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=300)] | None = None
    by: Duration | None = None


class Scenario(ScenarioPart, frozen=True, kw_only=True):
    """A scenario. `expect` has the names of events of participants, oldest first; `PUBLISH_ERROR:<code>` for errors."""

    title: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    description: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    stages: Annotated[dict[Name, StagePart], msgspec.Meta(min_length=1, max_length=100)]
    participants: Annotated[dict[Name, ParticipantGroup], msgspec.Meta(min_length=1, max_length=1_000)]
    steps: Annotated[tuple[ScenarioStep, ...], msgspec.Meta(min_length=1, max_length=MAXIMUM_STEPS)]
    expect: dict[Name, tuple[str, ...]] = {}
