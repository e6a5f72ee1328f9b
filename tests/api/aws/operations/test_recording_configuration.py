"""Recording configurations: accepted values, outputs with defaults, refused values."""

import pytest

from stagebook.api.aws.operations.recording_configuration import accept_recording, show_recording
from stagebook.stage.errors import InvalidInputError


def test_an_empty_configuration_has_every_default() -> None:
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


def test_absent_members_of_a_nested_structure_have_their_defaults() -> None:
    returned = show_recording(accept_recording({"thumbnailConfiguration": {"targetIntervalSeconds": 5}}))
    assert returned["thumbnailConfiguration"] == {
        "targetIntervalSeconds": 5,
        "storage": ["SEQUENTIAL"],
        "recordingMode": "DISABLED",
    }


def test_outputs_do_not_change_the_defaults() -> None:
    show_recording({"thumbnailConfiguration": {"targetIntervalSeconds": 5}})
    assert show_recording({})["thumbnailConfiguration"]["targetIntervalSeconds"] == 60


def test_a_storage_configuration_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="does not record"):
        accept_recording({"storageConfigurationArn": "arn:aws:ivs:us-west-2:123456789012:storage-configuration/a"})
