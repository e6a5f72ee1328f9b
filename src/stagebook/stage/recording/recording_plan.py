"""The recording configuration of a stage: its defaults, the rules for its values, and what to record with it.

Source: API reference, AutoParticipantRecordingConfiguration, ParticipantThumbnailConfiguration and
ParticipantRecordingHlsConfiguration. A stage stores only the members that its caller has set.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from stagebook.stage.errors import InvalidInputError

RECORDING_DEFAULTS: Mapping[str, Any] = {
    "storageConfigurationArn": "",
    "mediaTypes": ["AUDIO_VIDEO"],
    "thumbnailConfiguration": {
        "targetIntervalSeconds": 60,
        "storage": ["SEQUENTIAL"],
        "recordingMode": "DISABLED",
    },
    "recordingReconnectWindowSeconds": 0,
    "hlsConfiguration": {"targetSegmentDurationSeconds": 6},
    "recordParticipantReplicas": True,
}
_MEMBER = "autoParticipantRecordingConfiguration"


class RecordingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to record, and where to: the configuration of a stage when a publication starts.

    `thumbnail_storage` is empty without thumbnails. `bucket_name` is empty if the storage configuration is deleted.
    """

    storage_configuration_arn: str
    bucket_name: str
    has_video: bool = True
    segment_seconds: int = 6
    window_seconds: int = 0
    thumbnail_interval_seconds: int = 60
    thumbnail_storage: tuple[str, ...] = ()


def completed(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return shape AutoParticipantRecordingConfiguration: the given members, and defaults for all others."""
    shown: dict[str, Any] = {}
    for member, default in RECORDING_DEFAULTS.items():
        value = configuration.get(member, default)
        shown[member] = {**default, **value} if isinstance(default, Mapping) else value
    return shown


def check_recording(configuration: Mapping[str, Any]) -> None:
    """Check the rules between the members; the service model checks each by itself. Raises InvalidInputError.

    An interval is given with the mode INTERVAL only (ParticipantThumbnailConfiguration, targetIntervalSeconds). The
    default is accepted with each mode: outputs have it, and programs send an output back.
    """
    thumbnails, default = configuration.get("thumbnailConfiguration", {}), RECORDING_DEFAULTS["thumbnailConfiguration"]
    interval = thumbnails.get("targetIntervalSeconds", default["targetIntervalSeconds"])
    if interval != default["targetIntervalSeconds"] and thumbnails.get("recordingMode", "DISABLED") != "INTERVAL":
        raise InvalidInputError(
            member=f"{_MEMBER}.thumbnailConfiguration.targetIntervalSeconds",
            rule="can only be given if recordingMode is INTERVAL",
        )
    for member, values in (
        ("thumbnailConfiguration.storage", thumbnails.get("storage", ())),
        ("mediaTypes", configuration.get("mediaTypes", ())),
    ):
        if len(set(values)) < len(values):
            raise InvalidInputError(member=f"{_MEMBER}.{member}", rule="must not name a value twice")


def unknown_storage() -> InvalidInputError:
    """Return the error for a storage configuration that does not exist in the account and region of the stage."""
    return InvalidInputError(
        member=f"{_MEMBER}.storageConfigurationArn",
        rule="must be empty or name a storage configuration of this account and region",
    )


def recording_is_off() -> InvalidInputError:
    """Return the error for a storage configuration on a server that does not record."""
    return InvalidInputError(
        member=f"{_MEMBER}.storageConfigurationArn", rule="must be empty, because this server does not record"
    )


def plan_of(configuration: Mapping[str, Any], *, bucket_name: str, is_replica: bool) -> RecordingPlan | None:
    """Return what to record of a publication; None if nothing.

    `bucket_name` is that of the storage configuration. Not recorded: a stage without a storage configuration, the media
    type NONE, and replicas if `recordParticipantReplicas` is false.
    """
    full = completed(configuration)
    media_types = full["mediaTypes"] or RECORDING_DEFAULTS["mediaTypes"]
    is_wanted = full["storageConfigurationArn"] and media_types != ["NONE"]
    if not is_wanted or (is_replica and not full["recordParticipantReplicas"]):
        return None
    thumbnails = full["thumbnailConfiguration"]
    storage = thumbnails["storage"] or RECORDING_DEFAULTS["thumbnailConfiguration"]["storage"]
    has_video = media_types != ["AUDIO_ONLY"]
    return RecordingPlan(
        storage_configuration_arn=full["storageConfigurationArn"],
        bucket_name=bucket_name,
        has_video=has_video,
        segment_seconds=full["hlsConfiguration"]["targetSegmentDurationSeconds"],
        window_seconds=full["recordingReconnectWindowSeconds"],
        thumbnail_interval_seconds=thumbnails["targetIntervalSeconds"],
        thumbnail_storage=tuple(storage) if has_video and thumbnails["recordingMode"] == "INTERVAL" else (),
    )
