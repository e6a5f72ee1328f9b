"""The rules of StartComposition's input that the service model does not state, and its defaults.

Sources: API reference, StartComposition, DestinationConfiguration, LayoutConfiguration, GridConfiguration,
PipConfiguration, S3DestinationConfiguration; the examples of the AWS CLI reference for the defaults in responses.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stagebook.stage.errors import InvalidInputError

MAXIMUM_DESTINATIONS_OF_A_KIND = 1
DEFAULT_SEGMENT_SECONDS = 2
DEFAULT_THUMBNAIL_SECONDS = 60

_GRID: Final[Mapping[str, Any]] = {
    "featuredParticipantAttribute": "",
    "omitStoppedVideo": False,
    "videoAspectRatio": "VIDEO",
    "videoFillMode": "",
    "gridGap": 2,
    "participantOrderAttribute": "",
}
_PIP: Final[Mapping[str, Any]] = {
    "featuredParticipantAttribute": "",
    "omitStoppedVideo": False,
    "videoFillMode": "COVER",
    "gridGap": 0,
    "pipParticipantAttribute": "",
    "pipBehavior": "STATIC",
    "pipOffset": 0,
    "pipPosition": "BOTTOM_RIGHT",
    "participantOrderAttribute": "",
}


def complete_layout(layout: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a layout with every default; the default grid for None. `pipWidth` and `pipHeight` have no default.

    Raises InvalidInputError unless the layout is either a grid or picture-in-picture.
    """
    if layout is None:
        return {"grid": dict(_GRID)}
    if len(layout.keys() & {"grid", "pip"}) != 1:
        raise InvalidInputError(member="layout", rule="must have exactly one of grid and pip")
    if "grid" in layout:
        return {"grid": {**_GRID, **layout["grid"]}}
    return {"pip": {**_PIP, **layout["pip"]}}


def complete_destinations(destinations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the configurations of destinations with every default.

    Raises InvalidInputError unless each is either a channel or S3, and there is at most one of each kind.
    """
    completed = [
        _complete_destination(destination, member=f"destinations[{number}]")
        for number, destination in enumerate(destinations)
    ]
    for kind in ("channel", "s3"):
        if sum(kind in each for each in completed) > MAXIMUM_DESTINATIONS_OF_A_KIND:
            raise InvalidInputError(member="destinations", rule=f"must have at most one {kind} destination")
    return completed


def encoder_configuration_arn(configuration: Mapping[str, Any]) -> str | None:
    """Return the encoder configuration that a destination names; None for a channel that names none."""
    if "s3" in configuration:
        return str(configuration["s3"]["encoderConfigurationArns"][0])
    arn: str | None = configuration["channel"].get("encoderConfigurationArn")
    return arn


def _complete_destination(destination: Mapping[str, Any], *, member: str) -> dict[str, Any]:
    if len(destination.keys() & {"channel", "s3"}) != 1:
        raise InvalidInputError(member=member, rule="must have exactly one of channel and s3")
    name = destination.get("name", "")
    if "channel" in destination:
        return {"name": name, "channel": dict(destination["channel"])}
    s3 = destination["s3"]
    if len(s3["encoderConfigurationArns"]) != 1:
        raise InvalidInputError(member=f"{member}.s3.encoderConfigurationArns", rule="must have exactly one ARN")
    recording = s3.get("recordingConfiguration", {})
    hls = {"targetSegmentDurationSeconds": DEFAULT_SEGMENT_SECONDS, **recording.get("hlsConfiguration", {})}
    completed = {
        **s3,
        "encoderConfigurationArns": list(s3["encoderConfigurationArns"]),
        "recordingConfiguration": {"format": recording.get("format", "HLS"), "hlsConfiguration": hls},
    }
    if "thumbnailConfigurations" in s3:
        completed["thumbnailConfigurations"] = [
            _thumbnails(each, member=f"{member}.s3.thumbnailConfigurations[{number}]")
            for number, each in enumerate(s3["thumbnailConfigurations"])
        ]
    return {"name": name, "s3": completed}


def _thumbnails(configuration: Mapping[str, Any], *, member: str) -> dict[str, Any]:
    """Return a thumbnail configuration with its defaults; an empty storage has the default too, as for participants."""
    storage = list(configuration.get("storage", ())) or ["SEQUENTIAL"]
    if len(set(storage)) < len(storage):
        raise InvalidInputError(member=f"{member}.storage", rule="must not name a value twice")
    return {"targetIntervalSeconds": DEFAULT_THUMBNAIL_SECONDS, **configuration, "storage": storage}
