"""The journal of a recording: a file to which a record is appended for each step, one line of JSON each.

    began      once, with the first media: what the recording is
    init       an init segment was put
    segment    a segment was put
    closed     the recording is complete, or failed: its last objects are being put

A process may be killed at any instant. Its journal then is some beginning of what it would have written; the last line
may be cut. What the complete lines say is true, because an object is put before its line is written.
"""

from typing import TypeAlias

import msgspec

from stagebook.media.recording.hls.rendition_records import InitWritten, SegmentWritten
from stagebook.media.recording.recording_metadata import RecordingDescription, RecordingStatus
from stagebook.media.recording.recording_port import RecordingRequest


class RecordingBegan(msgspec.Struct, frozen=True, kw_only=True, tag="began"):
    """The first record. `request` is None for a composition."""

    description: RecordingDescription
    segment_seconds: int
    request: RecordingRequest | None = None


class RecordingClosed(msgspec.Struct, frozen=True, kw_only=True, tag="closed", omit_defaults=True):
    """The last record: everything but the playlists and the metadata is put."""

    status: RecordingStatus
    ended_ms: int
    message: str | None = None


JournalRecord: TypeAlias = RecordingBegan | InitWritten | SegmentWritten | RecordingClosed

_decoder = msgspec.json.Decoder(JournalRecord)


def encode_record(record: JournalRecord) -> bytes:
    """Return a record as it is appended."""
    return msgspec.json.encode(record) + b"\n"


def decode_journal(journal: bytes) -> list[JournalRecord]:
    """Return the records of a journal, without what a kill has cut. A line that is no record ends it."""
    records: list[JournalRecord] = []
    for line in journal.split(b"\n")[:-1]:
        try:
            records.append(_decoder.decode(line))
        except msgspec.MsgspecError:
            break
    return records
