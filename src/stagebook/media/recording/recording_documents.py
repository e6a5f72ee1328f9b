"""What says that a recording has begun, and how it has ended: records of its journal, and metadata in its store."""

from collections.abc import Callable

from stagebook.media.recording.object_writer import ObjectWriter
from stagebook.media.recording.recording_journal import RecordingBegan, RecordingClosed, encode_record
from stagebook.media.recording.recording_metadata import (
    JSON_TYPE,
    RecordingStatus,
    describe_participant,
    metadata_document,
    metadata_name,
)
from stagebook.media.recording.recording_port import RecordingRequest


class RecordingDocuments:
    """The documents of one participant's recording."""

    def __init__(self, request: RecordingRequest, *, objects: ObjectWriter, journal: Callable[[bytes], None]) -> None:
        """`journal` appends bytes to a file of the recording, which must be in the file when it returns."""
        self._request = request
        self._description = describe_participant(request)
        self._objects = objects
        self._journal = journal
        self.has_begun = False

    def begin(self) -> None:
        """Write the description of the recording to the journal, before any object. Further calls have no effect."""
        if self.has_begun:
            return
        self.has_begun = True
        began = RecordingBegan(
            description=self._description, segment_seconds=self._request.segment_seconds, request=self._request
        )
        self._journal(encode_record(began))
        document = metadata_document(self._description, RecordingStatus.STARTED)
        self._objects.put(metadata_name(RecordingStatus.STARTED), document, JSON_TYPE)

    def end(self, status: RecordingStatus, message: str | None, *, ended_ms: int, duration_ms: int) -> None:
        """Write to the journal how the recording has ended, and put the metadata about it.

        `ended_ms` is the wall-clock time in milliseconds since the epoch.
        """
        if self.has_begun:
            self._journal(encode_record(RecordingClosed(status=status, ended_ms=ended_ms, message=message)))
        document = metadata_document(
            self._description, status, ended_ms=ended_ms, duration_ms=duration_ms, message=message
        )
        self._objects.put(metadata_name(status), document, JSON_TYPE)
