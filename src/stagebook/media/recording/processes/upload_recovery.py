"""Completes what an earlier process has left in the spool: recordings that were interrupted, and objects that wait."""

import asyncio
from collections.abc import Collection
from typing import Protocol

import structlog

from stagebook.media.recording.hls.rendition_playlists import PLAYLIST_TYPE
from stagebook.media.recording.recording_metadata import RecordingStatus
from stagebook.media.recording.recording_recovery import recover_recording
from stagebook.storage.spool.spool_folder import Leftover
from stagebook.storage.spool.upload_spool import UploadSpool

_log = structlog.get_logger(__name__)


async def recover_uploads(spool: UploadSpool, *, ended_ms: int, unsettled: Collection[str] = ()) -> None:
    """Put the objects that close interrupted recordings, and upload everything that waits. Raises OSError.

    `ended_ms` is the wall-clock time for the metadata, in milliseconds since the epoch. `unsettled` are the ids of
    uploads whose journals are still needed (`UploadSpool.settle`).
    """
    for leftover in await asyncio.to_thread(spool.read_leftovers):
        upload = spool.adopt(leftover)
        if upload.is_abandoned:
            continue
        try:
            recovered = await asyncio.to_thread(recover_recording, leftover.journal, ended_ms=ended_ms)
        except Exception:  # noqa: BLE001 - a damaged journal must not keep the others from their store
            _log.exception("a recording cannot be completed", upload=leftover.upload_id)
            recovered = None
        objects = () if recovered is None else recovered.objects
        for each in objects:
            upload.put_last(each.name, each.body, each.content_type)
        has_failed = recovered is not None and recovered.status is RecordingStatus.ENDED_WITH_FAILURE
        _log_recovery(leftover, was_interrupted=has_failed)
        spool.leave(upload, is_settled=leftover.upload_id not in unsettled)


class JournalledUpload(Protocol):
    """An upload that may have lost an object (`storage.spool.upload`)."""

    has_lost_object: bool

    async def read_journal(self) -> bytes:
        """Return the journal, once all that was put is on disk or lost. Raises OSError."""

    def put_recovered(self, name: str, body: bytes, content_type: str) -> None:
        """Put an object that was made of the journal."""


async def close_after_loss(upload: JournalledUpload, *, ended_ms: int) -> int | None:
    """If the disk has lost an object, put the complete playlists of the segments that the journal names.

    Returns the duration of these segments in milliseconds; None if nothing is lost, or if the journal cannot be read.
    `ended_ms` is as in `recover_uploads`.
    """
    try:
        journal = await upload.read_journal()  # All is on disk then, or lost.
    except OSError as error:
        _log.error("a playlist is not complete", detail=str(error))
        return None
    if not upload.has_lost_object:
        return None
    recovered = await asyncio.to_thread(recover_recording, journal, ended_ms=ended_ms)
    if recovered is None:
        return 0
    for each in recovered.objects:
        if each.content_type == PLAYLIST_TYPE:
            upload.put_recovered(each.name, each.body, each.content_type)
    return recovered.duration_ms


def _log_recovery(leftover: Leftover, *, was_interrupted: bool) -> None:
    _log.warning(
        "an interrupted recording is completed" if was_interrupted else "objects that wait are uploaded",
        upload=leftover.upload_id,
        bucket=leftover.target.bucket_name,
        prefix=leftover.target.prefix,
        objects=len(leftover.waiting),
    )
