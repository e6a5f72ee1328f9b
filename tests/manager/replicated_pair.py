"""Two stages with a publisher P on the source stage, for tests of replication, and readers of what they record."""

from collections.abc import Sequence
from dataclasses import dataclass

from stagebook.book.changes import AppendEvent, Change
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Submission
from stagebook.stage.events import Cause
from stagebook.stage.resources import ParticipantRecord, Replica, Stage
from tests.manager.manager_harness import ManagerHarness

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]
REPLICATED = ["JOINED", "PUBLISH_STARTED", "REPLICATION_STARTED>destination"]
REPLICA_PUBLISHED = ["JOINED*", "PUBLISH_STARTED*"]

SOURCE_ENDED = [*REPLICATED, "PUBLISH_STOPPED", "REPLICATION_STOPPED>destination", "LEFT"]
SOURCE_LEFT = [*REPLICATED, "PUBLISH_STOPPED", "LEFT"]
REPLICA_ENDED = [*REPLICA_PUBLISHED, "PUBLISH_STOPPED*", "LEFT*"]
REPLICA_PAUSED = [*REPLICA_PUBLISHED, "PUBLISH_STOPPED*"]
SOURCE_WINDOW_CLOSED = [*SOURCE_LEFT, "REPLICATION_STOPPED>destination"]
REPLICA_WINDOW_CLOSED = [*REPLICA_PAUSED, "LEFT*"]
WATCHED = ["JOINED", "SUBSCRIBE_STARTED(P)*", "SUBSCRIBE_STOPPED(P)*", "LEFT"]


@dataclass
class Pair:
    """A source and a destination stage, and the connection id of P's publication on the source stage."""

    harness: ManagerHarness
    source: Stage
    destination: Stage
    publication: str

    async def start(self, *, window_seconds: int = 0, to: Stage | None = None, **attributes: str) -> None:
        await self.harness.manager.replications.start(
            source_stage_arn=self.source.arn,
            destination_stage_arn=(to or self.destination).arn,
            participant_id="P",
            window_seconds=window_seconds,
            attributes=attributes,
        )

    async def stop(self, *, to: Stage | None = None) -> None:
        await self.harness.manager.replications.stop(
            source_stage_arn=self.source.arn, destination_stage_arn=(to or self.destination).arn, participant_id="P"
        )

    async def unpublish(self) -> None:
        """Let P end its publication. P leaves its stage unless it has other connections."""
        await self.harness.manager.participants.close(
            self.harness.claims(self.source, "P"), connection_id=self.publication
        )

    async def publish_again(self, *, connect: bool = True) -> None:
        """Let P publish again."""
        self.publication = await self.harness.publish(self.harness.claims(self.source, "P"), connect=connect)

    async def watch(self) -> str:
        """Let V watch the replica on the destination stage; return the id of V's connection."""
        return await self.harness.subscribe(self.harness.claims(self.destination, "V"), "P")

    async def causes(self, stage: Stage, count: int) -> set[Cause | None]:
        """Return the causes of P's last events on a stage."""
        await self.harness.settled()
        recorded = self.harness.book.list_events(stage.arn, self.harness.session_id(stage), "P")
        return {entry.event.cause for entry in recorded[-count:]}

    async def events(self, stage: Stage, participant_id: str = "P") -> list[str]:
        """Return a participant's events, oldest first. `*` marks a replica, `>` a destination stage."""
        await self.harness.settled()
        recorded = self.harness.book.list_events(stage.arn, self.harness.session_id(stage), participant_id)
        return [
            entry.event.name.value
            + (f"({entry.event.remote_participant_id})" if entry.event.remote_participant_id else "")
            + (f":{entry.event.error_code.value}" if entry.event.error_code else "")
            + ("*" if entry.event.replica else "")
            + (f">{self._name(entry.event.destination.stage_arn)}" if entry.event.destination else "")
            for entry in recorded
        ]

    def _name(self, stage_arn: str) -> str:
        return {self.source.arn: "source", self.destination.arn: "destination"}.get(stage_arn, "elsewhere")

    async def row(self, stage: Stage, participant_id: str = "P") -> ParticipantRecord:
        """Return a participant's row in the newest session of a stage."""
        await self.harness.settled()
        record = self.harness.book.get_participant(stage.arn, self.harness.session_id(stage), participant_id)
        assert record is not None
        return record

    async def replicas(self) -> list[Replica]:
        """Return P's replications as ListParticipantReplicas returns them."""
        await self.harness.settled()
        return self.harness.book.list_replicas(self.source.arn, "P", after=None, limit=100).items

    async def states(self) -> list[str]:
        """Return the states of P's replications, newest first."""
        return [replica.state.value for replica in await self.replicas()]


async def make_pair(harness: ManagerHarness) -> Pair:
    """Create two stages and let P publish on the first."""
    source, destination = await harness.stage("source"), await harness.stage("destination")
    publication = await harness.publish(harness.claims(source, "P"))
    return Pair(harness=harness, source=source, destination=destination, publication=publication)


class Transactions:
    """Records the transactions of a book from now on: for each, the ARNs of the stages that it has events of."""

    def __init__(self, book: SqliteBook) -> None:
        self.stages: list[set[str]] = []
        self._submit = book.submit
        book.submit = self._note  # type: ignore[method-assign]  # a spy

    def _note(self, changes: Sequence[Change]) -> Submission:
        touched = {change.stage_arn for change in changes if isinstance(change, AppendEvent)}
        if touched:
            self.stages.append(touched)
        return self._submit(changes)
