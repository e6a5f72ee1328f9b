"""A stage's autoParticipantRecordingConfiguration: what is accepted, and how it is shown with its defaults.

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
    """Return what the caller set, to be kept with the stage.

    Raises InvalidInputError when it asks for a recording, that is, names a storage configuration: a stage must not
    look recorded when nothing is.
    """
    if configuration.get("storageConfigurationArn"):
        raise InvalidInputError(
            member="autoParticipantRecordingConfiguration.storageConfigurationArn",
            rule="must be empty, because this server does not record participants yet",
        )
    return dict(configuration)


def show_recording(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return shape AutoParticipantRecordingConfiguration: what was set, and the default for every other member."""
    shown: dict[str, Any] = {}
    for member, default in _DEFAULTS.items():
        value = configuration.get(member, default)
        shown[member] = {**default, **value} if isinstance(default, Mapping) else value
    return shown
