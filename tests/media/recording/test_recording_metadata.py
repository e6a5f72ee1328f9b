"""The metadata of recordings and compositions."""

import json

from stagebook.media.recording.recording_metadata import (
    RecordingDescription,
    RecordingStatus,
    describe_participant,
    metadata_document,
    metadata_name,
)
from stagebook.media.recording.recording_port import ThumbnailSettings
from tests.media.recording.recorded_publisher import START_MS, make_request


def test_the_start_has_no_end_and_no_duration() -> None:
    document = json.loads(metadata_document(describe_participant(make_request()), RecordingStatus.STARTED))
    assert document == {
        "version": "v1",
        "stage_arn": "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
        "session_id": "st-a1b2c3d4e5f6g",
        "participant_id": "abCDEf12GHIj",
        "recording_started_at": "2023-11-14T22:13:20Z",
        "recording_status": "RECORDING_STARTED",
        "media": {
            "hls": {
                "path": "media/hls",
                "playlist": "multivariant.m3u8",
                "renditions": [{"path": "high", "playlist": "playlist.m3u8"}],
            }
        },
    }


def test_the_end_has_the_duration_and_the_thumbnails() -> None:
    settings = ThumbnailSettings(interval_seconds=60, is_sequential=True, is_latest=True)
    description = describe_participant(make_request(thumbnails=settings))
    document = json.loads(
        metadata_document(description, RecordingStatus.ENDED, ended_ms=START_MS + 5_000, duration_ms=4_999)
    )
    assert document["recording_ended_at"] == "2023-11-14T22:13:25Z"
    assert document["media"]["hls"]["duration_ms"] == 4_999
    assert document["media"]["thumbnails"] == {"path": "media/thumbnails", "renditions": [{"path": "high"}]}
    assert document["media"]["latest_thumbnail"] == {"path": "media/latest_thumbnail", "renditions": [{"path": "high"}]}


def test_a_composition_has_sizes_and_no_participant() -> None:
    description = RecordingDescription(
        stage_arn="arn",
        started_ms=START_MS,
        rendition="720p30-abcdABCDefgh",
        width=1280,
        height=720,
        has_thumbnails=True,
        thumbnail_folder="1280x720",
    )
    document = json.loads(metadata_document(description, RecordingStatus.STARTED))
    assert "participant_id" not in document
    size = {"resolution_width": 1280, "resolution_height": 720}
    assert document["media"]["hls"]["renditions"] == [
        {"path": "720p30-abcdABCDefgh", "playlist": "playlist.m3u8", **size}
    ]
    assert document["media"]["thumbnails"]["renditions"] == [{"path": "1280x720", **size}]


def test_each_status_has_its_object() -> None:
    assert [metadata_name(status).partition("/")[2] for status in RecordingStatus] == [
        "recording-started.json",
        "recording-ended.json",
        "recording-failed.json",
        "recording-failed.json",
    ]
