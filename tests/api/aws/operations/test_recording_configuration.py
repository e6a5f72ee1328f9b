"""Recording configurations: what is kept, what is shown, what is refused."""

import pytest

from stagebook.api.aws.operations.recording_configuration import accept_recording, show_recording
from stagebook.stage.errors import InvalidInputError


def test_nothing_set_shows_every_default() -> None:
    assert show_recording({}) == {
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


def test_a_default_is_shown_beside_what_was_set_inside_the_same_structure() -> None:
    shown = show_recording(accept_recording({"thumbnailConfiguration": {"targetIntervalSeconds": 5}}))
    assert shown["thumbnailConfiguration"] == {
        "targetIntervalSeconds": 5,
        "storage": ["SEQUENTIAL"],
        "recordingMode": "DISABLED",
    }


def test_showing_leaves_the_defaults_as_they_are() -> None:
    show_recording({"thumbnailConfiguration": {"targetIntervalSeconds": 5}})
    assert show_recording({})["thumbnailConfiguration"]["targetIntervalSeconds"] == 60


def test_a_storage_configuration_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="does not record"):
        accept_recording({"storageConfigurationArn": "arn:aws:ivs:us-west-2:123456789012:storage-configuration/a"})
