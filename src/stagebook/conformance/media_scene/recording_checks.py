"""What the API says while the publisher of the scene is recorded."""

from stagebook.conformance.check import Cost
from stagebook.conformance.check_group import CheckGroup, user_guide
from stagebook.conformance.check_outcomes import CheckSkippedError
from stagebook.conformance.expectations import expect, expect_equal, expect_refused
from stagebook.conformance.media_scene.scene_script import Scene, scene_of
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.MEDIA)

GUIDE = user_guide("rt-individual-participant-recording")


def _recorded(scene: Scene) -> Json:
    """Return the publisher while it was recorded. Raises CheckSkippedError if the bucket was not there."""
    participant = scene.document("GetParticipant recorded")["participant"]
    if participant.get("recordingState") == "FAILED":
        raise CheckSkippedError("the recording failed: the bucket amzn-s3-demo-bucket does not exist or is closed")
    return participant


@checks.add("GetParticipant", "recordingState.publishing", source=GUIDE)
def _state(service: ServiceUnderTest) -> None:
    expect_equal(_recorded(scene_of(service)).get("recordingState"), "ACTIVE", "recordingState")


@checks.add("GetParticipant", "recordingS3BucketName", source=GUIDE)
def _bucket(service: ServiceUnderTest) -> None:
    participant = scene_of(service).document("GetParticipant recorded")["participant"]
    expect_equal(participant.get("recordingS3BucketName"), "amzn-s3-demo-bucket", "recordingS3BucketName")


@checks.add("GetParticipant", "recordingS3Prefix", source=GUIDE)
def _prefix(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    prefix = str(scene.document("GetParticipant recorded")["participant"].get("recordingS3Prefix"))
    wanted = "/".join((scene.stage_arn.rpartition("/")[2], scene.session_id, scene.publisher_id))
    expect(prefix.startswith(wanted), expected=f"a prefix that starts with {wanted}", got=prefix)


@checks.add("ListParticipants", "filterByRecordingState.active")
def _listed(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    _recorded(scene)
    listed = [each["participantId"] for each in scene.document("ListParticipants recorded")["participants"]]
    expect_equal(listed, [scene.publisher_id], "the participants that are recorded")


@checks.add("UpdateStage", "autoParticipantRecordingConfiguration.while-recording")
def _update(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    _recorded(scene)
    expect_refused(scene.answers["UpdateStage recorded"], "ConflictException")


@checks.add("UpdateStage", "name.while-recording")
def _rename(service: ServiceUnderTest) -> None:
    scene_of(service).document("UpdateStage name")
