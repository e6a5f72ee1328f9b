"""The port of the book for the stage manager: what it reads while it decides, and what it writes.

A decision must not be suspended: another one could change what it rests on. So these reads are synchronous. They are of
the present: stages, resources, revocations. `SqliteBook` answers them from its file. A book that is a round trip away
answers them from memory (`memory/account_memory.py`).

A decision also asks for two things of the past: whether a session had an id, and the row of a participant that was in
an open session before. A book in memory does not have them. So the manager awaits `fetch_session` or
`fetch_participant` first, and continues without awaiting anything else. What was fetched is at hand until a transaction
is submitted that changes it, and for some thousands of further fetches.

Reads see what is durable. The manager keeps what it has submitted and is not durable yet.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from stagebook.book.changes import Change
from stagebook.book.store import BookReader, Submission
from stagebook.stage.resources import ParticipantRecord, Resource, Stage, StageSession

_Result = TypeVar("_Result")


class NotFetchedError(Exception):
    """A decision read a row that was not fetched before. This is a programming error of the manager."""


class DecisionReader(Protocol):
    """The synchronous reads. Results and errors are those of `BookReader`.

    A stage that is deleted reads as None, whatever the store shows of its history, and its revocations are undefined.
    """

    def get_stage(self, stage_arn: str) -> Stage | None:
        """Return the stage with the id of its active session, or None."""

    def count_stages(self, account_id: str) -> int:
        """Return the number of stages of the account, without deleted ones."""

    def get_resource(self, arn: str) -> Resource | None:
        """Return a standalone resource, or None."""

    def count_resources(self, account_id: str, resource_type: str) -> int:
        """Return the number of the account's resources of one type."""

    def has_revoked(self, stage_arn: str) -> bool:
        """Return whether any participant id may not join this stage again."""

    def is_revoked(self, stage_arn: str, participant_id: str) -> bool:
        """Return whether this participant id may not join this stage again."""

    def has_bound_participants(self, account_id: str, stage_id: str) -> bool:
        """Return whether any participant of a stage is refused without a connection token."""

    def is_connection_token_revoked(self, account_id: str, token_id: str) -> bool:
        """Return whether this connection token of the account was revoked."""

    def get_session(self, stage_arn: str, session_id: str) -> StageSession | None:
        """Return a session that was fetched, open or ended, or None. Raises NotFetchedError."""

    def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        """Return a participant that was fetched, or None. Raises NotFetchedError."""


class DecisionBook(DecisionReader, Protocol):
    """The reads, the writes, and what is awaited before a decision. Members with the names of `Book` are as there."""

    @property
    def backlog(self) -> int:
        """Number of transactions that were submitted and are not durable yet."""

    @property
    def submitted_time_ms(self) -> int:
        """The time of the newest event or session end that was submitted, in ms since the epoch."""

    def submit(self, changes: Sequence[Change]) -> Submission:
        """Queue a transaction. Raises ChangeRefusedError and BookFailedError."""

    async def note_open_events(self) -> None:
        """Let the list of open participants know every event that was submitted before this call."""

    async def read(self, account_id: str | None, read: Callable[[BookReader], _Result], /) -> _Result:
        """Return what `read` returns for a reader that sees everything durable. It runs beside the event loop, if the
        store is not in this process, and counts for the account. Raises what `read` raises, and ServerBusyError."""

    async def has_had(self, arn: str) -> bool:
        """Return whether there is or was a stage or a composition with this ARN."""

    def is_participant_fetched(self, stage_arn: str, session_id: str, participant_id: str) -> bool:
        """Return whether `get_participant` can answer for a participant."""

    async def fetch_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """Read the row of a participant of an open session, if there is one, and what is needed to put it again.

        It need not be at hand afterwards: a transaction can have changed it meanwhile. So ask again.
        """

    async def fetch_session(self, stage_arn: str, session_id: str) -> None:
        """Read whether there is or was a session. It is at hand afterwards."""

    def forget_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """The manager has forgotten a participant, whose row is durable. It will fetch it before it puts it again."""
