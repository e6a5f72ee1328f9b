"""A stage's autoParticipantRecordingConfiguration: the values that are accepted, and the defaults in outputs.

Source of the defaults: API reference, AutoParticipantRecordingConfiguration, ParticipantThumbnailConfiguration and
ParticipantRecordingHlsConfiguration.
"""

from collections.abc import Mapping
from typing import Any

from stagebook.stage.errors import InvalidInputError

_DEFAULTS: Mapping[str, Any] = {
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


def accept_recording(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration to store with the stage, as the caller set it.

    Raises InvalidInputError when it names a storage configuration, which enables recording: a stage must not appear to
    be recorded when it is not.
    """
    if configuration.get("storageConfigurationArn"):
        raise InvalidInputError(
            member="autoParticipantRecordingConfiguration.storageConfigurationArn",
            rule="must be empty, because this server does not record participants yet",
        )
    return dict(configuration)


def show_recording(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return shape AutoParticipantRecordingConfiguration: the stored members, and defaults for all others."""
    shown: dict[str, Any] = {}
    for member, default in _DEFAULTS.items():
        value = configuration.get(member, default)
        shown[member] = {**default, **value} if isinstance(default, Mapping) else value
    return shown
