"""What became of a recording whose process or server was lost, as its journal on disk says.

The journal decides. The next process completes the bucket from it (`recording_recovery`), and the server tells the book
the same: a recording with a record of its end is complete, and every other one has failed with the duration of what is
in its playlist. So the book and the metadata in the bucket agree.
"""

from pathlib import Path
from typing import Final

import msgspec
import structlog

from stagebook.media.recording.recording_metadata import RecordingStatus
from stagebook.media.recording.recording_recovery import recover_recording
from stagebook.storage.spool.spool_folder import JOURNAL_NAME

MAX_JOURNAL_BYTES: Final = 256 << 20
"""A day of segments of 2 s has 5 MB."""

_log = structlog.get_logger(__name__)


class RecordedOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a recording of which something was recorded."""

    is_complete: bool
    """It had ended without a failure: at most its upload is not done."""
    duration_ms: int


def read_outcome(folder: Path) -> RecordedOutcome | None:
    """Return the outcome of the recording whose upload is in a folder of a spool. Blocks.

    None if nothing was recorded, or if the journal cannot be read.
    """
    path = folder / JOURNAL_NAME
    try:
        if path.stat().st_size > MAX_JOURNAL_BYTES:
            _log.error("the journal of a recording is too large", folder=folder.name)
            return None
        recovered = recover_recording(path.read_bytes(), ended_ms=0)
    except FileNotFoundError:
        return None
    except Exception:  # noqa: BLE001 - a damaged journal must not keep a server from its start
        _log.exception("the journal of a recording cannot be read", folder=folder.name)
        return None
    if recovered is None:
        return None
    return RecordedOutcome(is_complete=recovered.status is RecordingStatus.ENDED, duration_ms=recovered.duration_ms)
