"""Translates the reports of media engines into facts of sessions.

An engine reports by connection id. The route of the connection gives its stage and participant. A report without a
route is dropped: the connection has ended since the engine sent it, and its events are recorded. The two tables map the
engine's reasons to the causes of the book and to AWS's error codes (shape EventErrorCode).
"""

from collections.abc import Callable

from stagebook.manager.session.session_registry import Route
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.media.port import (
    CloseCause,
    Closed,
    Connected,
    IngestAsked,
    IngestFailed,
    IngestFault,
    MediaFact,
    SourceMeasured,
)
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.participant.transitions import PUBLISHING_KINDS, ConnectionKind
from stagebook.stage.resources import ParticipantRecord
from stagebook.stage.session.session_facts import (
    ConnectionEnded,
    ConnectionFailed,
    SessionFact,
    SourceReported,
    TransportConnected,
)
from stagebook.stage.source_limits import Measurement

_REDUNDANT = ConnectionKind.REDUNDANT
CAUSES = {
    CloseCause.NEVER_CONNECTED: Cause.NEVER_CONNECTED,
    CloseCause.CONSENT_LOST: Cause.PEER_LOST,
    CloseCause.PEER_CLOSED: Cause.CLIENT,
    CloseCause.TRANSPORT_FAILED: Cause.PEER_LOST,
    CloseCause.SOURCE_CHANGED: Cause.PUBLISHER_STOPPED,
    # The newer publication was closed before its Connected arrived: the participant itself ended both.
    CloseCause.REPLACED: Cause.CLIENT,
    CloseCause.ENGINE_LOST: Cause.ENGINE_LOST,
}

FAULT_CODES = {
    IngestFault.VIDEO_CODEC: ErrorCode.INVALID_VIDEO_CODEC,
    IngestFault.AUDIO_CODEC: ErrorCode.INVALID_AUDIO_CODEC,
    IngestFault.INPUT: ErrorCode.INVALID_INPUT,
}


class EngineEvents:
    """The listener of the media engine. `ingest_asked` is called for an encoder that asks to be admitted."""

    def __init__(self, *, unit: UnitOfWork, ingest_asked: Callable[[IngestAsked], None]) -> None:
        self._unit = unit
        self._ingest_asked = ingest_asked

    def on_fact(self, fact: MediaFact) -> None:
        """Decide and commit one report of the engine.

        The engine calls this on the event loop's thread. It does not wait until the report is durable: the engine needs
        no answer, and effects that clients can observe wait by themselves.
        """
        if isinstance(fact, IngestAsked):
            self._ingest_asked(fact)
            return
        route = self._unit.registry.routes.get(fact.connection_id)
        if route is None:
            return
        self._unit.apply(self._unit.registry.sessions[route.stage_arn], self._translate(route, fact))

    def _translate(self, route: Route, fact: Connected | Closed | IngestFailed | SourceMeasured) -> SessionFact:
        participant_id, connection_id = route.participant_id, fact.connection_id
        match fact:
            case Connected():
                known = self._known_virtual(route) if route.kind is _REDUNDANT else None
                return TransportConnected(
                    participant_id=participant_id, connection_id=connection_id, virtual_known=known
                )
            # AWS has an error code for a failure of the server, and a publisher must be able to tell it from its own
            # departure. Subscriptions only stop, as they would when the publisher ends.
            case Closed(cause=CloseCause.ENGINE_LOST) if route.kind in PUBLISHING_KINDS:
                return ConnectionFailed(
                    participant_id=participant_id,
                    connection_id=connection_id,
                    code=ErrorCode.INTERNAL_SERVER_EXCEPTION,
                    cause=Cause.ENGINE_LOST,
                )
            case Closed():
                return ConnectionEnded(
                    participant_id=participant_id,
                    connection_id=connection_id,
                    cause=CAUSES[fact.cause],
                    detail=fact.cause.value,
                )
            case IngestFailed():
                return ConnectionFailed(
                    participant_id=participant_id,
                    connection_id=connection_id,
                    code=FAULT_CODES[fact.fault],
                    detail=fact.detail,
                )
            case SourceMeasured():
                seen = Measurement(
                    bitrate_bps=fact.bitrate_bps, width=fact.width, height=fact.height, has_b_frames=fact.has_b_frames
                )
                return SourceReported(participant_id=participant_id, connection_id=connection_id, measurement=seen)

    def _known_virtual(self, route: Route) -> ParticipantRecord | None:
        """Return the row of the virtual participant that shows a stream, if it was in the session before."""
        session = self._unit.registry.sessions[route.stage_arn]
        stream = session.participants.get(route.participant_id)
        virtual_id = None if stream is None else stream.virtual_id
        return None if virtual_id is None else self._unit.entries.known_virtual(session, virtual_id)
