"""All compositions of a server: one process for each, and no more than `max_compositions`."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial, reduce
from itertools import count
from pathlib import Path
from typing import Final

import structlog

from stagebook.media.composition.composition_port import (
    ComposedParticipant,
    CompositionFact,
    CompositionListener,
    CompositionLost,
    CompositionRequest,
)
from stagebook.media.composition.layout.layout_settings import GridLayout
from stagebook.media.composition.processes.composing_statistics import (
    NO_COMPOSING_STATISTICS,
    ComposingStatistics,
    CompositionCounts,
)
from stagebook.media.composition.processes.composition_messages import SPOOLS_NAME, ComposingSetup
from stagebook.media.composition.processes.composition_run import CompositionRun
from stagebook.media.composition.processes.composition_spools import LeftSpools, left_spools
from stagebook.media.composition.processes.composition_taps import SourceTaps
from stagebook.media.recording.processes.recordings_folder import RecordingsFolder
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

STOP_SECONDS: Final = 15.0
"""How long a server that stops waits for the outputs of its compositions."""

_COMPLETING: Final = "leftovers"
"""The name of the run that completes what lost compositions have left. No composition has such an id."""

_log = structlog.get_logger(__name__)


class CompositionPool:
    """The compositions of a server (`composition_port.CompositionEngine`)."""

    def __init__(
        self,
        setup: ComposingSetup,
        opener: SourceTaps,
        *,
        folder: Path,
        max_compositions: int,
        user: ProcessUser | None = None,
        timeouts: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - frozen
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        """`opener` is the engine pool. `folder` is that of recordings, the working directory of the processes; it is
        made when it is needed. The processes run as `user`, or as this process's user."""
        self._setup = setup
        self._opener = opener
        self._folder = RecordingsFolder(folder, user=user)
        self.max_compositions = max_compositions
        self._user = user
        self._timeouts = timeouts
        self._stop_seconds = stop_seconds
        self._on_fact: CompositionListener = _ignore
        self._former: Mapping[str, Sequence[str]] | None = None
        """The destinations that an earlier run has completed, by composition id. None: they are read when asked for."""
        self._runs: dict[str, CompositionRun] = {}
        self._numbers = count()
        self.counts = CompositionCounts()
        self._ended_runs = NO_COMPOSING_STATISTICS
        self._is_stopping = False

    @property
    def runs(self) -> Mapping[str, CompositionRun]:
        """The compositions whose processes have not exited, by composition id."""
        return dict(self._runs)

    @property
    def composition_count(self) -> int:
        """The number of compositions whose processes have not exited."""
        return len(self._runs.keys() - {_COMPLETING})

    @property
    def statistics(self) -> ComposingStatistics:
        """The sums over all processes since the start, as last reported."""
        return reduce(ComposingStatistics.plus, (run.statistics for run in self._runs.values()), self._ended_runs)

    @property
    def left_spools(self) -> LeftSpools:
        """What compositions that are over have left on disk, and the store has not taken yet. Reads the folder."""
        try:
            return left_spools(self._folder.path / SPOOLS_NAME, in_use=self._runs, now=time.time())
        except OSError:  # A folder has just been removed.
            return LeftSpools()

    async def note_former(self) -> None:
        """Read which outputs an earlier run has completed, for `complete_outputs` to answer later.

        Call it before `complete_leftovers`, whose process deletes what says so.
        """
        names = left_spools(self._folder.path / SPOOLS_NAME, in_use=self._runs, now=time.time()).names
        complete = await asyncio.to_thread(self._read_complete, names) if names else []
        former: dict[str, list[str]] = {}
        for composition_id, destination_id in complete:
            former.setdefault(composition_id, []).append(destination_id)
        self._former = former

    async def complete_outputs(self, composition_ids: Sequence[str]) -> Collection[tuple[str, str]]:
        """As CompositionEngine.complete_outputs. Processes of the earlier run that have not exited are waited for."""
        if self._former is not None:
            return [(name, each) for name in composition_ids for each in self._former.get(name, ())]
        return await asyncio.to_thread(self._read_complete, composition_ids) if composition_ids else []

    def _read_complete(self, composition_ids: Sequence[str]) -> list[tuple[str, str]]:
        # These read what a crash has left, with 20 modules that no other start needs.
        from stagebook.storage.spool.spool_lock import wait_for_spool
        from stagebook.storage.spool.upload_spool import LOCK_SECONDS

        deadline, complete = time.monotonic() + LOCK_SECONDS, []
        for composition_id in composition_ids:
            spool = self._folder.path / SPOOLS_NAME / composition_id
            if not wait_for_spool(spool, timeout_seconds=max(0.0, deadline - time.monotonic())):
                _log.error("the process of a composition has not exited", composition=composition_id)
            complete += [(composition_id, each) for each in _complete_outputs(spool)]
        return complete

    def listen(self, on_fact: CompositionListener) -> None:
        """As CompositionEngine.listen."""
        self._on_fact = on_fact

    def start_composition(self, request: CompositionRequest) -> None:
        """As CompositionEngine.start_composition. Above `max_compositions`, the composition is lost at once."""
        composition_id = request.composition_id
        try:
            # A process whose composition is complete has only to exit.
            if sum(not run.is_complete for run in self._runs.values()) >= self.max_compositions:
                raise WorkerStartError(f"{self.max_compositions} compositions are running (max_compositions)")
            directory = self._folder.open_tap_directory()
        except (OSError, WorkerStartError) as error:
            _log.error("a composition cannot start", composition=composition_id, detail=str(error))
            lost = CompositionLost(composition_id=composition_id)
            asyncio.get_running_loop().call_soon(self._report, lost)
            return
        self._start(request, directory)

    def _start(self, request: CompositionRequest, tap_directory: str, *, leftovers: tuple[str, ...] = ()) -> None:
        composition_id = request.composition_id
        self._runs[composition_id] = CompositionRun(
            request,
            number=next(self._numbers),
            setup=self._setup,
            folder=str(self._folder.path),
            prepare=lambda: self._folder.prepared(SPOOLS_NAME),
            tap_directory=tap_directory,
            leftovers=leftovers,
            opener=self._opener,
            user=self._user,
            on_fact=self._report,
            complete_outputs=partial(_complete_outputs, self._folder.path / SPOOLS_NAME / composition_id),
            on_gone=lambda: self._forget(composition_id),
            timeouts=self._timeouts,
        )

    def complete_leftovers(self) -> None:
        """Let a process complete what lost compositions have left on disk, if there is anything."""
        leftovers = left_spools(self._folder.path / SPOOLS_NAME, in_use=self._runs, now=time.time()).names
        if not leftovers or _COMPLETING in self._runs or self._is_stopping:
            return
        nothing = CompositionRequest(
            composition_id=_COMPLETING, composition_arn="", stage_arn="", started_ms=0, layout=GridLayout(), outputs=()
        )
        self._start(nothing, self._folder.open_tap_directory(), leftovers=leftovers)
        self._runs[_COMPLETING].end()

    def show_participants(self, composition_id: str, participants: tuple[ComposedParticipant, ...]) -> None:
        """As CompositionEngine.show_participants."""
        if composition_id in self._runs:
            self._runs[composition_id].show(participants)

    def end_composition(self, composition_id: str) -> None:
        """As CompositionEngine.end_composition."""
        if composition_id in self._runs:
            self._runs[composition_id].end()

    async def stop(self) -> None:
        """End all compositions and their processes, within a bounded time."""
        self._is_stopping = True
        await asyncio.gather(*(run.stop(seconds=self._stop_seconds) for run in self._runs.values()))
        self._folder.close()

    def _report(self, fact: CompositionFact) -> "asyncio.Future[None] | None":
        self.counts.note(fact)
        return self._on_fact(fact)

    def _forget(self, composition_id: str) -> None:
        run = self._runs.pop(composition_id, None)
        if run is not None:
            self._ended_runs = self._ended_runs.plus(run.statistics.without_waiting())
        if composition_id != _COMPLETING:
            try:
                self.complete_leftovers()
            except OSError as error:
                _log.error("a lost composition cannot be completed", detail=str(error))


def _ignore(_fact: CompositionFact) -> None:
    """The listener before `listen`."""


def _complete_outputs(spool: Path) -> list[str]:
    """Return the ids of the destinations that the spool of a composition says are complete. Blocks."""
    # As in `_read_complete`.
    from stagebook.media.composition.processes.composition_leftovers import read_complete_outputs

    return read_complete_outputs(spool)
