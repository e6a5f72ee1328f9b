"""Two stages and a publisher P on the first: what the tests of replication start from, and how they read the book."""

from collections.abc import Sequence
from dataclasses import dataclass

from stagebook.book.changes import AppendEvent, Change
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Submission
from stagebook.stage.events import Cause
from stagebook.stage.resources import ParticipantRecord, Replica, Stage
from tests.manager.manager_harness import ManagerHarness

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]
REPLICATED = ["JOINED", "PUBLISH_STARTED", "REPLICATION_STARTED>there"]
SHOWN = ["JOINED*", "PUBLISH_STARTED*"]

ENDED_HERE = [*REPLICATED, "PUBLISH_STOPPED", "REPLICATION_STOPPED>there", "LEFT"]
LEFT_HERE = [*REPLICATED, "PUBLISH_STOPPED", "LEFT"]
ENDED_THERE = [*SHOWN, "PUBLISH_STOPPED*", "LEFT*"]
WAITS_THERE = [*SHOWN, "PUBLISH_STOPPED*"]
GIVEN_UP_HERE = [*LEFT_HERE, "REPLICATION_STOPPED>there"]
GIVEN_UP_THERE = [*WAITS_THERE, "LEFT*"]
WATCHED = ["JOINED", "SUBSCRIBE_STARTED(P)*", "SUBSCRIBE_STOPPED(P)*", "LEFT"]


@dataclass
class Pair:
    """The stages `here` and `there`, and P's publication on `here`."""

    harness: ManagerHarness
    here: Stage
    there: Stage
    publication: str

    async def start(self, *, window_seconds: int = 0, to: Stage | None = None, **attributes: str) -> None:
        await self.harness.manager.replications.start(
            source_stage_arn=self.here.arn,
            destination_stage_arn=(to or self.there).arn,
            participant_id="P",
            window_seconds=window_seconds,
            attributes=attributes,
        )

    async def stop(self, *, to: Stage | None = None) -> None:
        await self.harness.manager.replications.stop(
            source_stage_arn=self.here.arn, destination_stage_arn=(to or self.there).arn, participant_id="P"
        )

    async def leave(self) -> None:
        """P ends its publication, and so leaves: it has nothing else."""
        await self.harness.manager.participants.close(
            self.harness.claims(self.here, "P"), connection_id=self.publication
        )

    async def come_back(self, *, connect: bool = True) -> None:
        """P publishes again."""
        self.publication = await self.harness.publish(self.harness.claims(self.here, "P"), connect=connect)

    async def watch(self) -> str:
        """V watches the replica; return its connection's id."""
        return await self.harness.subscribe(self.harness.claims(self.there, "V"), "P")

    async def causes(self, stage: Stage, count: int) -> set[Cause | None]:
        """The causes of P's last events on a stage."""
        await self.harness.settled()
        recorded = self.harness.book.list_events(stage.arn, self.harness.session_id(stage), "P")
        return {entry.event.cause for entry in recorded[-count:]}

    async def told(self, stage: Stage, participant_id: str = "P") -> list[str]:
        """A participant's events, oldest first: `*` marks a replica, `>` leads to the destination of a replication."""
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
        return {self.here.arn: "here", self.there.arn: "there"}.get(stage_arn, "elsewhere")

    async def row(self, stage: Stage, participant_id: str = "P") -> ParticipantRecord:
        """A participant's row in its stage's newest session."""
        await self.harness.settled()
        record = self.harness.book.get_participant(stage.arn, self.harness.session_id(stage), participant_id)
        assert record is not None
        return record

    async def replicas(self) -> list[Replica]:
        """P's replications as ListParticipantReplicas sees them."""
        await self.harness.settled()
        return self.harness.book.list_replicas(self.here.arn, "P", after=None, limit=100).items

    async def states(self) -> list[str]:
        """The states of P's replications, newest first."""
        return [replica.state.value for replica in await self.replicas()]


async def make_pair(harness: ManagerHarness) -> Pair:
    """Let P publish on a new stage, beside another new stage."""
    here, there = await harness.stage("here"), await harness.stage("there")
    publication = await harness.publish(harness.claims(here, "P"))
    return Pair(harness=harness, here=here, there=there, publication=publication)


class Transactions:
    """The transactions that a book was given from now on, each as the stages whose participants it has events of."""

    def __init__(self, book: SqliteBook) -> None:
        self.stages: list[set[str]] = []
        self._submit = book.submit
        book.submit = self._note  # type: ignore[method-assign]  # to look at what passes, nothing else

    def _note(self, changes: Sequence[Change]) -> Submission:
        touched = {change.stage_arn for change in changes if isinstance(change, AppendEvent)}
        if touched:
            self.stages.append(touched)
        return self._submit(changes)
