"""The metadata of a recording as JSON objects in its folder `events`.

The members are those of AWS's user guide ("Individual Participant Recording", "Composite Recording"): individual
recordings name the session and the participant, compositions have the size of each rendition.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from stagebook.media.recording.recording_port import RecordingRequest

JSON_TYPE: Final = "application/json"
PARTICIPANT_RENDITION: Final = "high"
"""The name of the only rendition of a participant's recording."""


class RecordingStatus(StrEnum):
    """The values of `recording_status`."""

    STARTED = "RECORDING_STARTED"
    ENDED = "RECORDING_ENDED"
    START_FAILED = "RECORDING_START_FAILED"
    ENDED_WITH_FAILURE = "RECORDING_ENDED_WITH_FAILURE"


class RecordingDescription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the metadata say of a recording, but for its state."""

    stage_arn: str
    started_ms: int
    rendition: str
    """The folder of the HLS rendition."""
    session_id: str | None = None
    participant_id: str | None = None
    width: int = 0
    """The size of the pictures, of compositions only; 0 leaves it out."""
    height: int = 0
    has_thumbnails: bool = False
    has_latest_thumbnail: bool = False
    thumbnail_folder: str = PARTICIPANT_RENDITION


def describe_participant(request: RecordingRequest) -> RecordingDescription:
    """Return what the metadata say of a participant's recording."""
    thumbnails = request.thumbnails if request.has_video else None
    return RecordingDescription(
        stage_arn=request.stage_arn,
        started_ms=request.started_ms,
        rendition=PARTICIPANT_RENDITION,
        session_id=request.session_id,
        participant_id=request.participant_id,
        has_thumbnails=thumbnails is not None and thumbnails.is_sequential,
        has_latest_thumbnail=thumbnails is not None and thumbnails.is_latest,
    )


def metadata_name(status: RecordingStatus) -> str:
    """Return the name of the object that says a status."""
    if status is RecordingStatus.STARTED:
        return "events/recording-started.json"
    if status is RecordingStatus.ENDED:
        return "events/recording-ended.json"
    return "events/recording-failed.json"


def metadata_document(
    description: RecordingDescription,
    status: RecordingStatus,
    *,
    ended_ms: int | None = None,
    duration_ms: int | None = None,
    message: str | None = None,
) -> bytes:
    """Return the metadata as JSON. Members that do not apply are left out."""
    document: dict[str, Any] = {
        "version": "v1",
        "stage_arn": description.stage_arn,
        "session_id": description.session_id,
        "participant_id": description.participant_id,
        "recording_started_at": _date_time(description.started_ms),
        "recording_ended_at": None if ended_ms is None else _date_time(ended_ms),
        "recording_status": status.value,
        "recording_status_message": message,
        "media": _media(description, duration_ms),
    }
    present = {name: value for name, value in document.items() if value is not None}
    return msgspec.json.format(msgspec.json.encode(present), indent=2)


def _media(description: RecordingDescription, duration_ms: int | None) -> dict[str, Any]:
    size = {"resolution_width": description.width, "resolution_height": description.height} if description.width else {}
    duration = {} if duration_ms is None else {"duration_ms": duration_ms}
    hls = {"path": description.rendition, "playlist": "playlist.m3u8", **size}
    thumbnail = {"path": description.thumbnail_folder, **size}
    media: dict[str, Any] = {
        "hls": {**duration, "path": "media/hls", "playlist": "multivariant.m3u8", "renditions": [hls]}
    }
    if description.has_thumbnails:
        media["thumbnails"] = {"path": "media/thumbnails", "renditions": [thumbnail]}
    if description.has_latest_thumbnail:
        media["latest_thumbnail"] = {"path": "media/latest_thumbnail", "renditions": [thumbnail]}
    return media


def _date_time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms // 1_000, UTC):%Y-%m-%dT%H:%M:%S}Z"
