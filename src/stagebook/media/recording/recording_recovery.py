"""Closes the recordings that a crashed process has left, from their journals.

The playlists are written again from the records of the segments, and the metadata says RECORDING_ENDED_WITH_FAILURE. If
the journal says that the recording was closed, only its last objects may be missing: they are the same again.
"""

import msgspec

from stagebook.media.recording.hls.rendition_output import HLS_FOLDER
from stagebook.media.recording.hls.rendition_playlists import PLAYLIST_TYPE, RenditionPlaylists
from stagebook.media.recording.hls.rendition_records import InitWritten, SegmentWritten
from stagebook.media.recording.recording_journal import JournalRecord, RecordingBegan, RecordingClosed, decode_journal
from stagebook.media.recording.recording_metadata import (
    JSON_TYPE,
    RecordingStatus,
    metadata_document,
    metadata_name,
)
from stagebook.media.recording.recording_port import RecordingRequest

CRASH_MESSAGE = "Service internal error"
"""The message of a recording whose process was lost: the reason that AWS documents for InternalServerException."""


class RecoveredObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is to be written below the recording's prefix."""

    name: str
    body: bytes
    content_type: str


class RecoveredRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A closed recording. `objects` are to be put in this order, after everything that the process has put."""

    request: RecordingRequest | None
    """None for a composition."""
    duration_ms: int
    status: RecordingStatus
    """ENDED if the recording had ended before the crash: only its objects may not all have been stored."""
    objects: tuple[RecoveredObject, ...]


def recover_recording(journal: bytes, *, ended_ms: int) -> RecoveredRecording | None:
    """Return what closes a recording, from all bytes that were written to its journal; it may end anywhere.

    None if not even the first record is complete: nothing was recorded then. `ended_ms` is the wall-clock time of the
    end for the metadata, in milliseconds since the epoch, if the journal does not say it.
    """
    records = decode_journal(journal)
    if not records or not isinstance(records[0], RecordingBegan):
        return None
    began = records[0]
    playlists = _replay(began, records)
    closed = records[-1]
    if not isinstance(closed, RecordingClosed):
        closed = RecordingClosed(status=RecordingStatus.ENDED_WITH_FAILURE, ended_ms=ended_ms, message=CRASH_MESSAGE)
    document = metadata_document(
        began.description,
        closed.status,
        ended_ms=closed.ended_ms,
        duration_ms=playlists.duration_ms,
        message=closed.message,
    )
    metadata = RecoveredObject(name=metadata_name(closed.status), body=document, content_type=JSON_TYPE)
    return RecoveredRecording(
        request=began.request,
        duration_ms=playlists.duration_ms,
        status=closed.status,
        objects=(*_playlist_objects(began.description.rendition, playlists), metadata),
    )


def _replay(began: RecordingBegan, records: list[JournalRecord]) -> RenditionPlaylists:
    playlists = RenditionPlaylists(rendition=began.description.rendition, segment_seconds=began.segment_seconds)
    for record in records:
        if isinstance(record, InitWritten):
            playlists.add_init(record)
        elif isinstance(record, SegmentWritten):
            playlists.add_segment(record)
    return playlists


def _playlist_objects(rendition: str, playlists: RenditionPlaylists) -> tuple[RecoveredObject, ...]:
    if not playlists.segments:
        return ()
    return (
        RecoveredObject(
            name=f"{HLS_FOLDER}/{rendition}/playlist.m3u8",
            body=playlists.media_playlist(is_complete=True),
            content_type=PLAYLIST_TYPE,
        ),
        RecoveredObject(
            name=f"{HLS_FOLDER}/multivariant.m3u8", body=playlists.multivariant_playlist(), content_type=PLAYLIST_TYPE
        ),
    )
