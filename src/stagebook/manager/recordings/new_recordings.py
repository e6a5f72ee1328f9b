"""The recordings that begin: whether a publication is recorded, what of it, and under which prefix."""

from stagebook.book.changes import AppendEvent
from stagebook.book.decision_book import DecisionBook
from stagebook.manager.session.pending_resources import PendingResources
from stagebook.stage.clock import Instant, Randomness
from stagebook.stage.ids import new_participant_id
from stagebook.stage.recording.recording_machine import Recording, prefix_of
from stagebook.stage.recording.recording_plan import RecordingPlan, plan_of
from stagebook.stage.resources import StorageConfiguration
from stagebook.stage.session.session_state import Session


class NewRecordings:
    """Makes the recordings of one server."""

    def __init__(self, *, book: DecisionBook, pending: PendingResources, randomness: Randomness) -> None:
        self._book = book
        self._pending = pending
        self._randomness = randomness
        self._starts: dict[tuple[str, str], int] = {}
        """The last seconds in which recordings began, by session and participant: no two share a prefix."""

    def plan(self, stage_arn: str, *, is_replica: bool) -> RecordingPlan | None:
        """Return what the configuration of a stage says of a publication, None if it is not recorded.

        The plan has no bucket if the storage configuration was deleted.
        """
        stage = self._book.get_stage(stage_arn)
        if stage is None or not stage.recording.get("storageConfigurationArn"):
            return None
        storage = self._pending.find(stage.recording["storageConfigurationArn"])
        bucket_name = storage.bucket_name if isinstance(storage, StorageConfiguration) else ""
        return plan_of(stage.recording, bucket_name=bucket_name, is_replica=is_replica)

    def make(
        self, change: AppendEvent, plan: RecordingPlan, place: tuple[str, str | None], *, at: Instant
    ) -> Recording:
        """Return a new recording of a PUBLISH_STARTED. `place` is that of `place_of`."""
        source_id, connection_id = place
        return Recording(
            recording_id=new_participant_id(self._randomness),
            stage_arn=change.stage_arn,
            session_id=change.session_id,
            participant_id=change.participant_id,
            source_id=source_id,
            connection_id=connection_id,
            plan=plan,
            prefix=prefix_of(
                stage_arn=change.stage_arn,
                session_id=change.session_id,
                participant_id=change.participant_id,
                start_seconds=self._free_second(change, at.wall_ms // 1_000),
            ),
            started_ms=at.wall_ms,
        )

    def _free_second(self, change: AppendEvent, now_seconds: int) -> int:
        """Return a second for the prefix that no other recording of the participant in this session has."""
        self._starts = {key: second for key, second in self._starts.items() if second >= now_seconds}
        key = (change.session_id, change.participant_id)
        second = max(now_seconds, self._starts.get(key, 0) + 1)
        self._starts[key] = second
        return second


def place_of(session: Session, participant_id: str) -> tuple[str, str | None] | None:
    """Return the source of a participant, and the connection that feeds it if it is one of several redundant streams.

    None for a virtual participant: each of its streams is recorded by itself (user guide, "RTMP Publishing").
    """
    participant = session.participants.get(participant_id)
    if participant is None or participant.is_virtual:
        return None
    virtual_id = participant.virtual_id
    source = session.sources.get(virtual_id or participant_id)
    if source is None:
        return None
    connection_id = next(iter(participant.machine.connections)) if virtual_id is not None else None
    return source.source_id, connection_id
