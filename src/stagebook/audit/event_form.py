"""The rules that hold for an event by itself: the forms of ids, and which members belong to which event.

The forms of ids are those of the service model (shapes StageArn, StageSessionId, ParticipantId).
"""

import re
from collections.abc import Iterator

from stagebook.audit import book_rules
from stagebook.audit.book_rules import BookRule
from stagebook.stage.arns import STAGE, parse_arn
from stagebook.stage.errors import MalformedArnError
from stagebook.stage.events import RECORDING_EVENT_NAMES, Event, EventName, RecordingDetails, RecordingErrorCode

_SESSION_ID = re.compile(r"st-[a-zA-Z0-9]{13}")
_PARTICIPANT_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MAXIMUM_USER_ID_LENGTH = 128
"""Shape UserId."""

_REPLICATIONS = frozenset((EventName.REPLICATION_STARTED, EventName.REPLICATION_STOPPED))
_SUBSCRIPTIONS = frozenset((EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED))
_ERRORS = frozenset(name for name in EventName if name.value.endswith("_ERROR"))
_RECORDING_ENDS = frozenset((EventName.RECORDING_ENDED, EventName.RECORDING_END_FAILED))
_RECORDING_FAILURES = frozenset((EventName.RECORDING_START_FAILED, EventName.RECORDING_END_FAILED))
_PLAIN = frozenset(
    (EventName.JOINED, EventName.LEFT, EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED, *_SUBSCRIPTIONS)
)
"""The names of nearly all events."""


def id_faults(stage_arn: str, session_id: str, *, account_id: str | None = None) -> Iterator[tuple[BookRule, str]]:
    """Yield what is wrong with the ids of a session. The account, if it is given, must be that of the stage."""
    try:
        arn = parse_arn(stage_arn)
    except MalformedArnError:
        yield book_rules.IDS, f"{stage_arn[:128]!r} is not the ARN of a stage"
    else:
        if arn.resource_type != STAGE:
            yield book_rules.IDS, f"{stage_arn} is not the ARN of a stage"
        elif account_id is not None and arn.account_id != account_id:
            yield book_rules.IDS, f"account {account_id[:32]!r} is not that of {stage_arn}"
    if not _SESSION_ID.fullmatch(session_id):
        yield book_rules.IDS, f"{session_id[:64]!r} is not the id of a session: st- and 13 letters and digits"


def participant_id_fault(participant_id: str) -> str | None:
    """Return what is wrong with the id of a participant, or None."""
    if _PARTICIPANT_ID.fullmatch(participant_id):
        return None
    return f"{participant_id[:64]!r} is not the id of a participant: 1 to 64 letters, digits, - and _"


def event_faults(event: Event) -> Iterator[tuple[BookRule, str]]:
    """Yield what is wrong with the members of an event."""
    name = event.name
    remote = event.remote_participant_id
    is_plain = name in _PLAIN and event.error_code is None and event.destination is None and event.exchange is None
    if is_plain and event.recording is None and remote is None and name not in _SUBSCRIPTIONS:
        return
    if (event.error_code is not None) != (name in _ERRORS):
        what = "has no error code" if event.error_code is None else f"has error code {event.error_code}"
        yield book_rules.ERROR_CODE, f"{name} {what}"
    if name in _SUBSCRIPTIONS and remote is None:
        yield book_rules.REMOTE_PARTICIPANT, f"{name} names no remote participant"
    elif remote is not None and name not in _SUBSCRIPTIONS and name is not EventName.SUBSCRIBE_ERROR:
        yield book_rules.REMOTE_PARTICIPANT, f"{name} names remote participant {remote[:64]!r}"
    if remote is not None and (fault := participant_id_fault(remote)):
        yield book_rules.IDS, fault
    if (event.destination is not None) != (name in _REPLICATIONS):
        what = "names no destination" if event.destination is None else "names a destination"
        yield book_rules.DESTINATION, f"{name} {what}"
    if event.destination is not None:
        yield from id_faults(event.destination.stage_arn, event.destination.session_id)
    if (event.exchange is not None) != (name is EventName.TOKEN_EXCHANGED):
        yield book_rules.TOKENS, f"{name} {'has no tokens' if event.exchange is None else 'has tokens'}"
    yield from _recording_faults(name, event.recording)


def _recording_faults(name: EventName, recording: RecordingDetails | None) -> Iterator[tuple[BookRule, str]]:
    if (recording is not None) != (name in RECORDING_EVENT_NAMES):
        yield book_rules.RECORDING_DETAILS, f"{name} {'names no' if recording is None else 'names a'} recording"
    elif recording is not None:
        if not recording.prefix or (not recording.bucket_name and not _has_lost_its_bucket(name, recording)):
            yield book_rules.RECORDING_DETAILS, f"{name} names no place"
        if (recording.error_code is not None) != (name in _RECORDING_FAILURES):
            what = "has no error code" if recording.error_code is None else f"has error code {recording.error_code}"
            yield book_rules.RECORDING_DETAILS, f"{name} {what}"
        if recording.duration_ms is None and name is EventName.RECORDING_ENDED:
            yield book_rules.RECORDING_DETAILS, f"{name} has no duration"
        elif recording.duration_ms is not None and name not in _RECORDING_ENDS:
            yield book_rules.RECORDING_DETAILS, f"{name} has a duration"


def _has_lost_its_bucket(name: EventName, recording: RecordingDetails) -> bool:
    """Return whether the storage configuration was deleted before the recording started: no bucket is known then."""
    return name is EventName.RECORDING_START_FAILED and recording.error_code is RecordingErrorCode.RESOURCE_NOT_FOUND
