"""The port for the reads that the APIs answer with: values and pages of lists, awaited.

`BookReader` has the same reads for the manager, whose decisions must not be suspended by one. An answer may wait: a
store in another process needs some time for a read, and other requests are served meanwhile. Results, positions and
errors are those of `BookReader`.

A read sees every transaction that was durable when it was called. So a client that got the answer to a write finds
what it wrote.

Every read raises ServerBusyError if the store has too many reads to do, and if it cannot be reached for a moment.
"""

from typing import Protocol

from stagebook.book.book_values import EventRow, Page, ParticipantFilter
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.composition_reader import CompositionFilter
from stagebook.stage.composition.composition import Composition
from stagebook.stage.resources import ParticipantRecord, Replica, Resource, Stage, StageSession


class CompositionPages(Protocol):
    """Reads of compositions; see `CompositionReader`."""

    async def find(self, arn: str) -> Composition | None:
        """Return a composition, running or ended; None if there is none, or retention has deleted it."""

    async def page(self, where: CompositionFilter, *, after: int | None, limit: int) -> Page[Composition]:
        """Return a page of the compositions that match, newest first. `where` names an account."""

    async def page_events(self, arn: str, *, after: int | None, limit: int) -> Page[LoggedCompositionEvent]:
        """Return a page of the events of a composition, oldest first."""


class BookPages(Protocol):
    """Reads of everything else; see `BookReader`."""

    @property
    def compositions(self) -> CompositionPages:
        """The reads of compositions."""

    async def get_stage(self, stage_arn: str) -> Stage | None:
        """Return the stage with the id of its active session, or None."""

    async def list_stages(self, account_id: str, *, after: int | None, limit: int) -> Page[Stage]:
        """Return a page of the account's stages in order of creation."""

    async def get_session(self, stage_arn: str, session_id: str) -> StageSession | None:
        """Return the session, open or ended, or None."""

    async def list_sessions(self, stage_arn: str, *, after: int | None, limit: int) -> Page[StageSession]:
        """Return a page of the stage's sessions, newest first."""

    async def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        """Return the participant in this session, or None."""

    async def list_participants(
        self, stage_arn: str, session_id: str, *, where: ParticipantFilter, after: int | None, limit: int
    ) -> Page[ParticipantRecord]:
        """Return a page of the session's participants that match `where`, newest first."""

    async def page_events(
        self,
        stage_arn: str,
        session_id: str,
        participant_id: str,
        *,
        after: int | None,
        limit: int,
        oldest_first: bool = False,
        of_deleted_stages: bool = False,
        of_recordings: bool = False,
    ) -> list[EventRow]:
        """Return at most `limit` events of one participant in this session, newest first by default."""

    async def get_resource(self, arn: str) -> Resource | None:
        """Return a standalone resource, or None."""

    async def list_resources(
        self, account_id: str, resource_type: str, *, after: int | None, limit: int
    ) -> Page[Resource]:
        """Return a page of the account's resources of one type, in order of creation."""

    async def list_replicas(
        self, source_stage_arn: str, participant_id: str, *, after: int | None, limit: int
    ) -> Page[Replica]:
        """Return a page of the replicas of a participant of a source stage, newest first, including stopped ones."""
