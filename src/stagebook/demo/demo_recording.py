"""The recording of the demo: the storage configuration, the events of the recording, and where its files are.

The events of a recording are events of the book that ListParticipantEvents does not show. The watch API of Stagebook
has them; it takes the signature of an AWS client.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

BUCKET = "demo-recordings"
SEGMENT_SECONDS = 2
END_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.2
NAMES = ("RECORDING_STARTED", "RECORDING_ENDED", "RECORDING_START_FAILED", "RECORDING_END_FAILED")
PLAYLIST = "media/hls/multivariant.m3u8"


def recording_configuration(ivs: Any) -> dict[str, Any]:  # noqa: ANN401 - boto3 makes clients at run time
    """Return the recording configuration of the demo's stage. A storage configuration of a run before is used again."""
    known = ivs.list_storage_configurations(maxResults=100)["storageConfigurations"]
    found = next((each for each in known if each.get("s3", {}).get("bucketName") == BUCKET), None)
    if found is None:
        found = ivs.create_storage_configuration(name="demo", s3={"bucketName": BUCKET})["storageConfiguration"]
    return {
        "storageConfigurationArn": found["arn"],
        "hlsConfiguration": {"targetSegmentDurationSeconds": SEGMENT_SECONDS},
    }


def recording_events(ivs: Any, stage_arn: str) -> list[dict[str, Any]]:  # noqa: ANN401 - see above
    """Return the events of the recordings of a stage, oldest first, once one has its end.

    There are none on a server without a watch API. The end comes when all is stored. Raises httpx.HTTPError.
    """
    deadline_seconds = time.monotonic() + END_TIMEOUT_SECONDS
    while True:
        events = _search(ivs, stage_arn)
        is_over = events is None or any(each["name"] != NAMES[0] for each in events)
        if is_over or time.monotonic() > deadline_seconds:
            return events or []
        time.sleep(POLL_SECONDS)


def _search(ivs: Any, stage_arn: str) -> list[dict[str, Any]] | None:  # noqa: ANN401 - see above
    """Return the events of recordings that the watch API has; None if the server has no watch API."""
    query = urlencode({"stage": stage_arn, "order": "asc", "name": NAMES}, doseq=True)
    url = f"{ivs.meta.endpoint_url}/watch/v1/events?{query}"
    request = AWSRequest("GET", url)
    SigV4Auth(ivs._request_signer._credentials, "ivs", ivs.meta.region_name).add_auth(request)
    response = httpx.get(url, headers=dict(request.headers))
    if response.status_code != httpx.codes.OK:
        return None
    events: list[dict[str, Any]] = response.json()["events"]
    return events


def is_complete(events: list[dict[str, Any]]) -> bool:
    """Return whether these events are of a recording whose files are stored."""
    return bool(events) and events[-1]["name"] == "RECORDING_ENDED"


def recording_text(events: list[dict[str, Any]], *, recordings: Path | None) -> str:
    """Return what to print of a recording. `recordings` is the folder that has the buckets, if it is known.

    The text of a complete recording names its file.
    """
    if not events:
        return "The publisher was not recorded."
    lines = [f"{each['eventTime']}  {each['name']}{_about(each['recording'])}" for each in events]
    if not is_complete(events):
        return "\n".join(lines)
    place = events[-1]["recording"]
    path = f"{place['s3BucketName']}/{place['s3Prefix']}/{PLAYLIST}"
    where = (
        f"<data folder>/recordings/{path}, or that key of the S3 bucket" if recordings is None else recordings / path
    )
    return "\n".join([*lines, f"The recording: {where}"])


def kept_recordings(recordings: Path) -> Path:
    """Copy the recordings of a temporary server to a folder that stays; return it."""
    kept = Path(tempfile.mkdtemp(prefix="stagebook-demo-recording-"))
    return shutil.copytree(recordings, kept, dirs_exist_ok=True)


def _about(recording: dict[str, Any]) -> str:
    if "errorCode" in recording:
        return f"  {recording['errorCode']}: {recording['reason']}"
    duration_ms = recording.get("durationMs")
    return "" if duration_ms is None else f"  {duration_ms / 1_000:.1f} s"
