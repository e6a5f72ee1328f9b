"""The events that an action of a simulated participant or encoder has made.

They are read from the book when the action is durable: the events of the participant with larger sequence numbers than
it had before. A participant has one action at a time, so nothing else makes them but the AWS API in the same moment.
"""

from collections.abc import Awaitable, Callable

from stagebook.api.testing.participants.peer_services import PeerServices
from stagebook.book.book_values import EventRow
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
        newest = await self._newest(stage_arn, session_ids, participant_ids)
        try:
            await action()
        finally:  # a refused action can have events, too
            await self._services.settled()
            session_ids |= self._session_ids(stage_arn)
            rows: list[EventRow] = []
            for session_id in session_ids:
                for participant_id in participant_ids:
                    rows += await self._after(newest, stage_arn, session_id, participant_id)
            sequences = sorted(row[0] for row in rows)
            events = tuple(event_document(logged) for logged in self._services.log.read_at(sequences))
            if events:
                self.session_id = events[-1].session_id
        return events

    async def newest_events(self, stage_arn: str, participant_ids: tuple[str, ...]) -> tuple[EventDocument, ...]:
        """Return its events in the session of its newest one, oldest first, at most MAXIMUM_EVENTS."""
        session_id = self.session_id
        if session_id is None:
            return ()
        rows: list[EventRow] = []
        for each in participant_ids:
            rows += await self._after(0, stage_arn, session_id, each, limit=MAXIMUM_EVENTS - len(rows))
        sequences = sorted(row[0] for row in rows)
        return tuple(event_document(logged) for logged in self._services.log.read_at(sequences))

    async def left_cause(self, stage_arn: str, participant_id: str) -> str | None:
        """Return the cause of the newest LEFT, None if there is none among the newest events."""
        if self.session_id is None:
            return None
        rows = await self._page(stage_arn, self.session_id, participant_id)
        sequences = [row[0] for row in rows if row[1] == _LEFT][:1]
        causes = [logged.event.cause for logged in self._services.log.read_at(sequences)]
        return causes[0].value if causes and causes[0] is not None else None

    def _session_ids(self, stage_arn: str) -> set[str]:
        live = self._services.manager.live.session(stage_arn)
        own = set() if self.session_id is None else {self.session_id}
        return own if live is None else own | {live.session_id}

    async def _newest(self, stage_arn: str, session_ids: set[str], participant_ids: tuple[str, ...]) -> int:
        """Return the sequence number of the newest event, 0 if there is none."""
        sequences = [0]
        for session_id in session_ids:
            for participant_id in participant_ids:
                sequences += [row[0] for row in await self._page(stage_arn, session_id, participant_id, limit=1)]
        return max(sequences)

    async def _after(
        self, sequence: int, stage_arn: str, session_id: str, participant_id: str, *, limit: int | None = None
    ) -> list[EventRow]:
        """Return the events of a participant with larger sequence numbers, the newest first, at most `limit`."""
        found: list[EventRow] = []
        after: int | None = None
        while limit is None or len(found) < limit:
            rows = await self._page(stage_arn, session_id, participant_id, after=after)
            new = [row for row in rows if row[0] > sequence]
            found += new
            if len(new) < PAGE_SIZE:
                break
            after = new[-1][0]
        return found[:limit]

    async def _page(
        self, stage_arn: str, session_id: str, participant_id: str, *, after: int | None = None, limit: int = PAGE_SIZE
    ) -> list[EventRow]:
        """Return events of a participant, the newest first. A test may look at them after it has deleted the stage."""
        return await self._services.pages.page_events(
            stage_arn,
            session_id,
            participant_id,
            after=after,
            limit=limit,
            of_deleted_stages=True,
            of_recordings=True,
        )
