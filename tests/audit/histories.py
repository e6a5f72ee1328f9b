"""Events of participants, written in short, and what an audit finds wrong with them.

An event is written as `JOINED`, `SUBSCRIBE_STARTED bob`, `REPLICATION_STARTED other`, `PUBLISH_ERROR INVALID_INPUT`,
or `TOKEN_EXCHANGED PUBLISH+SUBSCRIBE`. A `!` in front marks a replica's, a number and `/` its time in ms.
"""

from typing import Any

from stagebook.audit.participant_audit import ParticipantAudit
from stagebook.audit.viewer_audit import ViewerAudit
from stagebook.stage.events import (
    RECORDING_EVENT_NAMES,
    Cause,
    ErrorCode,
    Event,
    EventName,
    ExchangedToken,
    RecordingDetails,
    RecordingErrorCode,
    ReplicationDestination,
    TokenExchange,
)
from stagebook.stage.resources import ParticipantRecord
from tests.book.sample import SESSION

OTHER_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/other0000000"


def event(text: str, *, cause: Cause | None = Cause.CLIENT) -> Event:
    """Return the event that a text describes."""
    is_replica = text.startswith("!")
    name_text, _, about = text.removeprefix("!").partition(" ")
    name = EventName(name_text)
    return Event(
        name=name,
        remote_participant_id=about if name_text.startswith("SUBSCRIBE_S") else None,
        error_code=ErrorCode(about) if name_text.endswith("_ERROR") else None,
        destination=ReplicationDestination(stage_arn=OTHER_ARN, session_id=f"st-{about:x<13}")
        if name_text.startswith("REPLICATION")
        else None,
        exchange=_exchange(about) if name is EventName.TOKEN_EXCHANGED else None,
        recording=_recording(name, about) if name in RECORDING_EVENT_NAMES else None,
        replica=is_replica,
        cause=cause,
    )


def _recording(name: EventName, part: str) -> RecordingDetails:
    """Return the details of a recording of this session, or of another one that the text names: `part@session`."""
    start, _, session_id = part.partition("@")
    return RecordingDetails(
        bucket_name="bucket",
        prefix=f"stage/{session_id or SESSION}/p/{start}",
        duration_ms=None if name.value.endswith(("STARTED", "START_FAILED")) else 5_000,
        error_code=RecordingErrorCode.ACCESS_DENIED if name.value.endswith("FAILED") else None,
    )


def _exchange(capabilities: str) -> TokenExchange:
    token = ExchangedToken(capabilities=("PUBLISH", "SUBSCRIBE"), attributes={}, user_id="ann", expiration_ms=1)
    new = ExchangedToken(
        capabilities=tuple(capabilities.split("+")), attributes={"seat": "2"}, user_id="anna", expiration_ms=2
    )
    return TokenExchange(previous=token, new=new)


def timed(texts: list[str], *, cause: Cause | None = Cause.CLIENT) -> list[tuple[Event, int]]:
    """Return the events of texts with their times: the one that is given, else one ms after the event before."""
    found = []
    time_ms = 0
    for text in texts:
        number, separator, rest = text.partition("/")
        time_ms = int(number) if separator else time_ms + 1
        found.append((event(rest if separator else text, cause=cause), time_ms))
    return found


def audited(texts: list[str], *, cause: Cause | None = Cause.CLIENT) -> tuple[list[str], ParticipantAudit]:
    """Return the names of the rules that the events break, each as `<rule> at <position>`, and the audit."""
    audit = ParticipantAudit(ParticipantRecord(participant_id="p"), session_id=SESSION)
    faults: list[Any] = []
    for position, (each, time_ms) in enumerate(timed(texts, cause=cause)):
        faults += audit.add(each, time_ms, position)
    faults += audit.settle()
    return [f"{rule.name} at {mark}" for rule, _, mark in faults], audit


def viewed(stops: dict[str, list[int]], texts: list[str]) -> list[str]:
    """Return the rules that a viewer's events break, given the times at which publications stopped."""
    audit = ViewerAudit()
    for publisher, times in stops.items():
        for time_ms in times:
            audit.note_stop(publisher, time_ms)
    faults: list[Any] = []
    for position, (each, time_ms) in enumerate(timed(texts)):
        fault = audit.add("viewer", each, time_ms, position)
        faults += [] if fault is None else [fault]
    faults += audit.settle("viewer")
    return [f"{rule.name} at {mark}" for rule, _, mark in faults]
