"""How long a stream may last (user guide, "Service Quotas"): each connection by itself, from when its media flows."""

import heapq

from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.events import ErrorCode
from stagebook.stage.limits import Limits


class StreamTimeouts:
    """When which connection is cut. A connection that ends before is passed over when its time comes."""

    def __init__(self, *, ledger: UnitOfWork, endings: Teardown, limits: Limits) -> None:
        self._ledger = ledger
        self._endings = endings
        self._limits = limits
        self._due: list[tuple[int, str]] = []

    def flowing(self, connection_id: str) -> None:
        """Note that media of a connection flows from now on."""
        deadline_ms = self._ledger.now_ms() + self._limits.duration_seconds * 1000
        heapq.heappush(self._due, (deadline_ms, connection_id))

    def tick(self) -> None:
        """Cut the streams that have lasted too long."""
        now_ms = self._ledger.now_ms()
        while self._due and self._due[0][0] <= now_ms:
            _, connection_id = heapq.heappop(self._due)
            route = self._ledger.live.routes.get(connection_id)
            if route is not None:
                changes = self._endings.cut(
                    route.session,
                    route.participant_id,
                    connection_id,
                    ErrorCode.STREAM_DURATION_EXCEEDED,
                    detail=f"longer than {self._limits.duration_seconds} seconds",
                )
                self._ledger.commit(route.session, changes)
