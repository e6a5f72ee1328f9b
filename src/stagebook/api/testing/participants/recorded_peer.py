"""The events that an action of a simulated participant or encoder has made.

They are read from the book when the action is durable: the events of the participant with larger sequence numbers than
it had before. A participant has one action at a time, so nothing else makes them but the AWS API in the same moment.
"""

from collections.abc import Awaitable, Callable, Iterator
from itertools import islice

from stagebook.api.testing.participants.peer_services import PeerServices
from stagebook.book.store import EventRow
from stagebook.history.event_document import EventDocument, event_document
from stagebook.stage.events import EventName

PAGE_SIZE = 50
MAXIMUM_EVENTS = 1_000
"""How many events one response shows."""
_LEFT = list(EventName).index(EventName.LEFT)


class RecordedPeer:
    """The events of one peer. It can have several participant ids, as encoders with redundant ingest have."""

    def __init__(self, services: PeerServices) -> None:
        self.session_id: str | None = None
        """The session of its newest event."""
        self._services = services

    async def record(
        self, action: Callable[[], Awaitable[None]], *, stage_arn: str, participant_ids: tuple[str, ...]
    ) -> tuple[EventDocument, ...]:
        """Do an action; return the events that it has made, oldest first, when they are durable."""
        session_ids = self._session_ids(stage_arn)
        newest = max((row[0] for row in self._newest(stage_arn, session_ids, participant_ids)), default=0)
        try:
            await action()
        finally:  # a refused action can have events, too
            await self._services.settled()
            session_ids |= self._session_ids(stage_arn)
            sequences = sorted(
                row[0]
                for session_id in session_ids
                for participant_id in participant_ids
                for row in self._after(newest, stage_arn, session_id, participant_id)
            )
            events = tuple(event_document(logged) for logged in self._services.log.read_at(sequences))
            if events:
                self.session_id = events[-1].session_id
        return events

    def newest_events(self, stage_arn: str, participant_ids: tuple[str, ...]) -> tuple[EventDocument, ...]:
        """Return its events in the session of its newest one, oldest first, at most MAXIMUM_EVENTS."""
        if self.session_id is None:
            return ()
        rows = (row for each in participant_ids for row in self._after(0, stage_arn, self.session_id or "", each))
        sequences = sorted(row[0] for row in islice(rows, MAXIMUM_EVENTS))
        return tuple(event_document(logged) for logged in self._services.log.read_at(sequences))

    def left_cause(self, stage_arn: str, participant_id: str) -> str | None:
        """Return the cause of the newest LEFT, None if there is none among the newest events."""
        if self.session_id is None:
            return None
        rows = self._page(stage_arn, self.session_id, participant_id)
        sequences = [row[0] for row in rows if row[1] == _LEFT][:1]
        causes = [logged.event.cause for logged in self._services.log.read_at(sequences)]
        return causes[0].value if causes and causes[0] is not None else None

    def _session_ids(self, stage_arn: str) -> set[str]:
        live = self._services.manager.live_session(stage_arn)
        own = set() if self.session_id is None else {self.session_id}
        return own if live is None else own | {live.session_id}

    def _newest(self, stage_arn: str, session_ids: set[str], participant_ids: tuple[str, ...]) -> Iterator[EventRow]:
        for session_id in session_ids:
            for participant_id in participant_ids:
                yield from self._page(stage_arn, session_id, participant_id, limit=1)

    def _after(self, sequence: int, stage_arn: str, session_id: str, participant_id: str) -> Iterator[EventRow]:
        """Yield the events of a participant with larger sequence numbers, the newest first."""
        after: int | None = None
        while True:
            rows = self._page(stage_arn, session_id, participant_id, after=after)
            new = [row for row in rows if row[0] > sequence]
            yield from new
            if len(new) < PAGE_SIZE:
                return
            after = new[-1][0]

    def _page(
        self, stage_arn: str, session_id: str, participant_id: str, *, after: int | None = None, limit: int = PAGE_SIZE
    ) -> list[EventRow]:
        """Return events of a participant, the newest first. A test may look at them after it has deleted the stage."""
        return self._services.manager.book.page_events(
            stage_arn,
            session_id,
            participant_id,
            after=after,
            limit=limit,
            of_deleted_stages=True,
            of_recordings=True,
        )
