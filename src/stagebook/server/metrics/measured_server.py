"""The parts of a running server that `/metrics` shows."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from stagebook.api.livekit_counts import LiveKitCounts
from stagebook.api.node_state import MeasuredNode
from stagebook.api.request_counts import RequestCounts
from stagebook.book.server_book import ServerBook
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.manager.retention import Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.media.composition.processes.composition_pool import CompositionPool
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.recording.processes.recorder_pool import RecorderPool
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.simulated.simulated_composer import SimulatedComposer
from stagebook.media.simulated.simulated_recorder import SimulatedRecorder
from stagebook.webhooks.delivery_records import Backlog


class ApiRequests(msgspec.Struct, frozen=True, kw_only=True):
    """The request counts of each API of a server."""

    aws: RequestCounts
    participants: RequestCounts
    watch: RequestCounts

    @classmethod
    def new(cls) -> "ApiRequests":
        """Return counts of no requests."""
        return cls(aws=RequestCounts("aws"), participants=RequestCounts("participants"), watch=RequestCounts("watch"))

    @property
    def all(self) -> Sequence[RequestCounts]:
        """The counts of all APIs."""
        return (self.aws, self.participants, self.watch)


class MeasuredServer(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running server that are measured.

    `connections`, `websockets` and `event_streams` return how many are open, `refused` the requests that the HTTP
    server has refused by status, `webhook_backlogs` what waits for each destination. `simulated_recorder` and
    `simulated_composer` are those of a server with `--testing`.
    """

    version: str
    book: ServerBook
    book_path: Path
    manager: StageManager
    retention: Retention
    engines: EnginePool
    ingest: IngestPool | None
    recorders: RecorderPool
    compositions: CompositionPool
    requests: ApiRequests
    connections: Callable[[], int]
    websockets: Callable[[], int]
    event_streams: Callable[[], int]
    refused: Callable[[], Mapping[int, int]]
    history: HistoryProcesses
    simulated_recorder: SimulatedRecorder | None = None
    simulated_composer: SimulatedComposer | None = None
    webhook_backlogs: Callable[[], Mapping[str, Backlog]] = dict
    livekit: Callable[[], LiveKitCounts | None] = lambda: None
    """What was received from LiveKit; None on a server without it."""
    node: Callable[[], MeasuredNode | None] = lambda: None
    """A node; None on a server with a SQLite book."""
