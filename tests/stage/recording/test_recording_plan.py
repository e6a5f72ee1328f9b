"""Recording configurations: accepted values, outputs with defaults, refused values."""

import pytest
from msgspec.structs import replace

from stagebook.stage.errors import InvalidInputError
from stagebook.stage.recording.recording_plan import RecordingPlan, check_recording, completed, plan_of


def test_an_empty_configuration_has_every_default() -> None:
    assert completed({}) == {
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
    returned = completed({"thumbnailConfiguration": {"targetIntervalSeconds": 5}})
    assert returned["thumbnailConfiguration"] == {
        "targetIntervalSeconds": 5,
        "storage": ["SEQUENTIAL"],
        "recordingMode": "DISABLED",
    }


def test_outputs_do_not_change_the_defaults() -> None:
    completed({"thumbnailConfiguration": {"targetIntervalSeconds": 5}})
    assert completed({})["thumbnailConfiguration"]["targetIntervalSeconds"] == 60


@pytest.mark.parametrize(
    ("thumbnails", "member"),
    [
        ({"targetIntervalSeconds": 5}, "targetIntervalSeconds"),
        ({"targetIntervalSeconds": 5, "recordingMode": "DISABLED"}, "targetIntervalSeconds"),
        ({"recordingMode": "INTERVAL", "storage": ["LATEST", "LATEST"]}, "storage"),
    ],
)
def test_a_broken_rule_names_its_member(thumbnails: dict[str, object], member: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        check_recording({"thumbnailConfiguration": thumbnails})
    assert error.value.member == f"autoParticipantRecordingConfiguration.thumbnailConfiguration.{member}"


def test_an_output_can_be_sent_back() -> None:
    check_recording(completed({}))
    check_recording(completed({"thumbnailConfiguration": {"recordingMode": "INTERVAL", "targetIntervalSeconds": 5}}))


ARN = "arn:aws:ivs:us-west-2:123456789012:storage-configuration/abcdABCDefgh"
PLAN = RecordingPlan(storage_configuration_arn=ARN, bucket_name="bucket")
INTERVAL = {"recordingMode": "INTERVAL", "targetIntervalSeconds": 5, "storage": ["SEQUENTIAL", "LATEST"]}


@pytest.mark.parametrize(
    ("members", "plan"),
    [
        ({}, PLAN),
        ({"mediaTypes": ["NONE"]}, None),
        ({"mediaTypes": []}, PLAN),
        (
            {"mediaTypes": ["AUDIO_ONLY"], "thumbnailConfiguration": INTERVAL},
            replace(PLAN, has_video=False, thumbnail_interval_seconds=5),
        ),
        ({"recordingReconnectWindowSeconds": 30}, replace(PLAN, window_seconds=30)),
        ({"hlsConfiguration": {"targetSegmentDurationSeconds": 2}}, replace(PLAN, segment_seconds=2)),
        (
            {"thumbnailConfiguration": INTERVAL},
            replace(PLAN, thumbnail_interval_seconds=5, thumbnail_storage=("SEQUENTIAL", "LATEST")),
        ),
        ({"thumbnailConfiguration": {"recordingMode": "INTERVAL"}}, replace(PLAN, thumbnail_storage=("SEQUENTIAL",))),
    ],
)
def test_the_plan_is_what_the_configuration_says(members: dict[str, object], plan: RecordingPlan | None) -> None:
    assert plan_of({"storageConfigurationArn": ARN, **members}, bucket_name="bucket", is_replica=False) == plan


def test_without_a_storage_configuration_nothing_is_recorded() -> None:
    assert plan_of({"storageConfigurationArn": ""}, bucket_name="", is_replica=False) is None


@pytest.mark.parametrize("is_wanted", [True, False, None])
def test_replicas_are_recorded_unless_the_configuration_excludes_them(is_wanted: bool | None) -> None:  # noqa: FBT001
    members = {} if is_wanted is None else {"recordParticipantReplicas": is_wanted}
    configuration = {"storageConfigurationArn": ARN, **members}
    assert (plan_of(configuration, bucket_name="bucket", is_replica=True) is None) == (is_wanted is False)
    assert plan_of(configuration, bucket_name="bucket", is_replica=False) == PLAN
