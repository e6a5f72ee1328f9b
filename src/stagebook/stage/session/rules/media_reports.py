"""What the reports of media engines and the stream timers mean for a session.

Reports can be late, repeated or about a connection that has ended: then they change nothing.
"""

from msgspec.structs import replace

from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.participant.participant_facts import MediaConnected
from stagebook.stage.participant.participant_machine import superseded_by
from stagebook.stage.participant.participant_state import Connection
from stagebook.stage.participant.transitions import ConnectionKind, ConnectionState
from stagebook.stage.session.decision import Refusal
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import CancelTimer, CloseConnection, CloseRoute, SetTimer
from stagebook.stage.session.rules.arrivals import show_virtual
from stagebook.stage.session.rules.replicas import resume_replications, tell_mute
from stagebook.stage.session.rules.sole_websocket import leave
from stagebook.stage.session.rules.teardown import cut_connection, end_connections
from stagebook.stage.session.session_facts import (
    ConnectionEnded,
    ConnectionFailed,
    DurationElapsed,
    SourceReported,
    TransportConnected,
)
from stagebook.stage.session.session_state import SessionParticipant, shown_mute
from stagebook.stage.source_limits import Measurement, judge

_OPENING = ConnectionState.OPENING
_PUBLISH, _REDUNDANT = ConnectionKind.PUBLISH, ConnectionKind.REDUNDANT


def transport_connected(draft: Draft, fact: TransportConnected) -> Refusal:
    """Move a connection to FLOWING: PUBLISH_STARTED or SUBSCRIBE_STARTED.

    A replacement takes over the publication here and not when its offer is answered, because it may never connect. The
    connections that it replaces are closed without an event.
    """
    participant = draft.find(fact.participant_id)
    connection = None if participant is None else participant.machine.connections.get(fact.connection_id)
    if participant is None or connection is None or connection.state is not _OPENING:
        return None
    superseded: tuple[str, ...] = ()
    if connection.kind is _PUBLISH:
        superseded = superseded_by(participant.machine, fact.connection_id)
    draft.record(fact.participant_id, MediaConnected(connection_id=fact.connection_id))
    for connection_id in superseded:
        _supersede(draft, fact.participant_id, connection_id)
    _start_duration(draft, fact)
    if connection.kind is _PUBLISH:
        _resume(draft, fact.participant_id)
        tell_mute(draft, fact.participant_id, before=shown_mute(participant))
    elif connection.kind is _REDUNDANT:
        _show_stream(draft, participant, fact)
    return None


def _supersede(draft: Draft, participant_id: str, connection_id: str) -> None:
    """Close the connection that a replacement has superseded."""
    draft.release_source(participant_id, user_id=connection_id, detail="")
    draft.order(CloseRoute(connection_id=connection_id))
    draft.order(CancelTimer(key=f"duration:{connection_id}"))
    draft.order(CloseConnection(connection_id=connection_id))


def _start_duration(draft: Draft, fact: TransportConnected) -> None:
    """Set the timer for the maximum duration of the connection, counted from the moment at which its media flows."""
    context = draft.context
    elapsed = DurationElapsed(participant_id=fact.participant_id, connection_id=fact.connection_id)
    due_ms = context.at.monotonic_ms + context.limits.duration_seconds * 1000
    draft.order(SetTimer(key=f"duration:{fact.connection_id}", due_ms=due_ms, fact=elapsed))


def _show_stream(draft: Draft, stream: SessionParticipant, fact: TransportConnected) -> None:
    """Let the virtual participant publish while one of its redundant streams flows."""
    virtual_id = stream.virtual_id
    # An id that no engine uses: no report can refer to the publication of the virtual participant. It ends with the
    # last of its streams, see `teardown.py`.
    publication_id = f"{fact.connection_id}/virtual"
    if virtual_id is not None and show_virtual(draft, stream, fact.virtual_known, publication_id):
        draft.record(virtual_id, MediaConnected(connection_id=publication_id))
        _resume(draft, virtual_id)


def _resume(draft: Draft, publisher_id: str) -> None:
    source = draft.sources.get(publisher_id)
    if source is not None:
        resume_replications(draft, publisher_id, source_id=source.source_id)


def connection_ended(draft: Draft, fact: ConnectionEnded) -> Refusal:
    """End a connection. A client that closes its only events websocket leaves with everything.

    The engine can report the end of a connection before the manager has processed its answer to the offer. Then the
    attempt is only marked as lost, and `attempt_answered` refuses it: the client waits for the response to its offer.
    """
    participant = draft.find(fact.participant_id)
    if participant is None:
        return None
    if fact.connection_id in participant.attempts:
        _lose_attempt(draft, participant, fact.connection_id)
    elif fact.connection_id == participant.sole_events_id and fact.cause is Cause.CLIENT:
        leave(draft, participant, detail=fact.detail)
    elif fact.connection_id in participant.machine.connections:
        end_connections(draft, fact.participant_id, [fact.connection_id], cause=fact.cause, detail=fact.detail)
    return None


def connection_failed(draft: Draft, fact: ConnectionFailed) -> Refusal:
    """End a media connection with an error code: *_ERROR, and *_STOPPED if it was flowing.

    An attempt is marked as lost, as in `connection_ended`.
    """
    participant = draft.find(fact.participant_id)
    if participant is not None and fact.connection_id in participant.attempts:
        _lose_attempt(draft, participant, fact.connection_id)
    elif _media_connection(draft, fact.participant_id, fact.connection_id) is not None:
        cut_connection(draft, fact.participant_id, fact.connection_id, fact.code, cause=fact.cause, detail=fact.detail)
    return None


def _lose_attempt(draft: Draft, participant: SessionParticipant, connection_id: str) -> None:
    lost = replace(participant.attempts[connection_id], is_lost=True)
    draft.put(replace(participant, attempts={**participant.attempts, connection_id: lost}))


def duration_elapsed(draft: Draft, fact: DurationElapsed) -> Refusal:
    """End a connection with STREAM_DURATION_EXCEEDED at the maximum duration (user guide, "Service Quotas")."""
    if _media_connection(draft, fact.participant_id, fact.connection_id) is not None:
        detail = f"longer than {draft.context.limits.duration_seconds} seconds"
        code = ErrorCode.STREAM_DURATION_EXCEEDED
        cut_connection(draft, fact.participant_id, fact.connection_id, code, detail=detail)
    return None


def source_reported(draft: Draft, fact: SourceReported) -> Refusal:
    """Compare one measurement of a publisher's media with the limits; end a publication that breaks one."""
    if _media_connection(draft, fact.participant_id, fact.connection_id) is None:
        return None
    participant = draft.get(fact.participant_id)
    watch, code = judge(participant.source_watch, fact.measurement, draft.context.limits)
    if watch != participant.source_watch:
        draft.put(replace(participant, source_watch=watch))
    if code is not None:
        detail = _broken_limit(code, fact.measurement)
        cut_connection(draft, fact.participant_id, fact.connection_id, code, detail=detail)
    return None


def _media_connection(draft: Draft, participant_id: str, connection_id: str) -> Connection | None:
    participant = draft.find(participant_id)
    connection = None if participant is None else participant.machine.connections.get(connection_id)
    media = (ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE, ConnectionKind.REDUNDANT)
    return connection if connection is not None and connection.kind in media else None


def _broken_limit(code: ErrorCode, seen: Measurement) -> str:
    """Return the detail of the event: the measured values, of which one is above its limit."""
    if code is ErrorCode.B_FRAME_PRESENT:
        return "the video has B-frames"
    size = f"{seen.width}x{seen.height}"
    return size if seen.bitrate_bps is None else f"{size} at {seen.bitrate_bps} bit/s"
