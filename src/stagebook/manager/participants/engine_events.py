"""What the engine tells: connected, closed, failed, measured. Each becomes a fact of the participant it is about.

An encoder that asks to come in is nobody's yet: that goes on to `ingest.py`.
"""

from collections.abc import Callable

from stagebook.book.changes import Change
from stagebook.manager.participants.redundant_ingest import RedundantIngest
from stagebook.manager.participants.replicas import Replicas
from stagebook.manager.participants.rtmp_join import RtmpJoin
from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.session.running_sessions import Route
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
from stagebook.stage import facts
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.limits import Limits
from stagebook.stage.participant import PUBLISHING_KINDS, ConnectionKind
from stagebook.stage.source_limits import Measurement, judge

CAUSES = {
    CloseCause.NEVER_CONNECTED: Cause.NEVER_CONNECTED,
    CloseCause.CONSENT_LOST: Cause.PEER_LOST,
    CloseCause.PEER_CLOSED: Cause.CLIENT,
    CloseCause.TRANSPORT_FAILED: Cause.PEER_LOST,
    CloseCause.SOURCE_CHANGED: Cause.PUBLISHER_STOPPED,
    CloseCause.ENGINE_LOST: Cause.ENGINE_LOST,
}

FAULT_CODES = {
    IngestFault.VIDEO_CODEC: ErrorCode.INVALID_VIDEO_CODEC,
    IngestFault.AUDIO_CODEC: ErrorCode.INVALID_AUDIO_CODEC,
    IngestFault.INPUT: ErrorCode.INVALID_INPUT,
}


class EngineEvents:
    """The one listener of the engine."""

    def __init__(
        self,
        *,
        ledger: UnitOfWork,
        endings: Teardown,
        replicas: Replicas,
        virtual: RedundantIngest,
        ingest: RtmpJoin,
        limits: Limits,
        flowing: Callable[[str], None],
        closed_early: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._endings = endings
        self._replicas = replicas
        self._virtual = virtual
        self._ingest = ingest
        self._limits = limits
        self._flowing = flowing
        self._closed_early = closed_early

    def hear(self, fact: MediaFact) -> None:
        """Take one fact of the engine. A fact of a connection that ended meanwhile is no news and is dropped."""
        if isinstance(fact, IngestAsked):
            self._ingest.hear(fact)
            return
        route = self._ledger.live.routes.get(fact.connection_id)
        if isinstance(fact, Closed):
            if route is None:
                self._closed_early(fact.connection_id)
            else:
                self._commit(route, self._closed(route, fact))
        elif route is None:
            return
        elif isinstance(fact, Connected):
            self._connected(route, fact)
        elif isinstance(fact, IngestFailed):
            self._cut(route, fact.connection_id, FAULT_CODES[fact.fault], detail=fact.detail)
        else:
            self._measured(route, fact)

    def _commit(self, route: Route, changes: list[Change]) -> None:
        self._ledger.commit(route.session, changes)

    def _connected(self, route: Route, fact: Connected) -> None:
        changes: list[Change] = []
        live = route.session.participants[route.participant_id]
        self._ledger.write(route.session, live, [facts.Connected(connection_id=fact.connection_id)], changes)
        if route.kind is ConnectionKind.PUBLISH:
            self._replicas.resume(live, changes)
        elif route.kind is ConnectionKind.REDUNDANT:
            self._virtual.show(route.session, live, changes)
        self._flowing(fact.connection_id)
        self._commit(route, changes)

    def _closed(self, route: Route, fact: Closed) -> list[Change]:
        if fact.cause is CloseCause.ENGINE_LOST and route.kind in PUBLISHING_KINDS:
            return self._endings.cut(
                route.session,
                route.participant_id,
                fact.connection_id,
                ErrorCode.INTERNAL_SERVER_EXCEPTION,
                cause=Cause.ENGINE_LOST,
            )
        return self._endings.gone(
            route.session,
            route.participant_id,
            [fact.connection_id],
            cause=CAUSES[fact.cause],
            detail=fact.cause.value,
        )

    def _measured(self, route: Route, fact: SourceMeasured) -> None:
        live = route.session.participants[route.participant_id]
        seen = Measurement(
            bitrate_bps=fact.bitrate_bps, width=fact.width, height=fact.height, has_b_frames=fact.has_b_frames
        )
        live.source_watch, code = judge(live.source_watch, seen, self._limits)
        if code is not None:
            self._cut(route, fact.connection_id, code, detail=_broken(code, fact))

    def _cut(self, route: Route, connection_id: str, code: ErrorCode, *, detail: str) -> None:
        self._commit(route, self._endings.cut(route.session, route.participant_id, connection_id, code, detail=detail))


def _broken(code: ErrorCode, fact: SourceMeasured) -> str:
    """Return what a publisher needs to know of the limit that it broke."""
    if code is ErrorCode.B_FRAME_PRESENT:
        return "the video has B-frames"
    return f"{fact.width}x{fact.height} at {fact.bitrate_bps} bit/s"
