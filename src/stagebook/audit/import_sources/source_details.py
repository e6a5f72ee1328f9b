"""What a source says of participants, sessions and stages besides their events.

Details fill in what events do not say. Where both say something, they must agree. Their forms are those of the service
model; the size of attributes is a quota, which differs from server to server.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec.structs import replace

from stagebook.audit import book_rules
from stagebook.audit.book_rules import BookRule
from stagebook.audit.event_form import MAXIMUM_USER_ID_LENGTH, id_faults, participant_id_fault
from stagebook.stage.arns import INGEST_CONFIGURATION, parse_arn
from stagebook.stage.composition.composition import Composition
from stagebook.stage.errors import MalformedArnError
from stagebook.stage.resources import ClientInfo, ParticipantProtocol, ParticipantRecord, ParticipantState
from stagebook.stage.timestamps import iso8601

_SECOND_MS = 1_000
_STAGE_NAME = re.compile(r"[a-zA-Z0-9_-]{0,128}")
_MOST_TAGS = 50
_ANY_SESSION_ID = "st-0000000000000"


class ParticipantDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What ListParticipants or GetParticipant says of a participant. None and empty members were not said."""

    place: int
    user_id: str | None = None
    attributes: Mapping[str, str] | None = None
    state: ParticipantState | None = None
    published: bool | None = None
    first_join_ms: int | None = None
    protocol: ParticipantProtocol = ParticipantProtocol.UNKNOWN
    client: ClientInfo = ClientInfo()
    source_stage_arn: str | None = None
    source_session_id: str | None = None
    redundant_ingest: bool = False
    ingest_configuration_arn: str | None = None

    def faults(self, participant_id: str) -> Iterator[tuple[BookRule, str]]:
        """Yield what is wrong with the details of a participant by themselves (shape Participant)."""
        if fault := participant_id_fault(participant_id):
            yield book_rules.IDS, fault
        if self.user_id is not None and len(self.user_id) > MAXIMUM_USER_ID_LENGTH:
            yield book_rules.IDS, f"the user id has more than {MAXIMUM_USER_ID_LENGTH} characters"
        if self.source_stage_arn is not None:
            yield from id_faults(self.source_stage_arn, self.source_session_id or "")
        arn = self.ingest_configuration_arn
        if arn is not None and not _is_ingest_configuration(arn):
            yield book_rules.IDS, f"{arn[:128]!r} is not the ARN of an ingest configuration"

    def before_events(self, participant_id: str) -> ParticipantRecord:
        """Return the row of the participant before its first event, with what its events do not say."""
        return ParticipantRecord(
            participant_id=participant_id,
            protocol=self.protocol,
            client=self.client,
            source_stage_arn=self.source_stage_arn,
            source_session_id=self.source_session_id,
            redundant_ingest=self.redundant_ingest,
            ingest_configuration_arn=self.ingest_configuration_arn,
        )

    def contradiction(self, record: ParticipantRecord) -> str | None:
        """Return what is said otherwise than by the events, which have led to this row; None if nothing is."""
        for name, said, derived in (
            ("state", self.state, record.state),
            ("published", self.published, record.published),
            ("firstJoinTime", self.first_join_ms, record.first_join_ms),
        ):
            if said is not None and not _agree(said, derived):
                return f"{name} is {_shown(said)}, the events of the participant say {_shown(derived)}"
        return None

    def applied_to(self, record: ParticipantRecord) -> ParticipantRecord:
        """Return a row with the user id and the attributes of the details."""
        return replace(
            record,
            user_id=record.user_id if self.user_id is None else self.user_id,
            attributes=record.attributes if self.attributes is None else dict(self.attributes),
        )


class SessionTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What ListStageSessions or GetStageSession says of a session, in ms since the epoch."""

    place: int
    start_ms: int
    end_ms: int | None = None

    def is_over(self, time_ms: int) -> bool:
        """Return whether the session has ended before a time. An end in whole seconds covers its whole second."""
        if self.end_ms is None:
            return False
        return time_ms > self.end_ms + (_SECOND_MS - 1 if self.end_ms % _SECOND_MS == 0 else 0)


class StageDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What GetStage or ListStages says of a stage."""

    name: str
    tags: Mapping[str, str]

    def faults(self, arn: str) -> Iterator[tuple[BookRule, str]]:
        """Yield what is wrong with the details of a stage by themselves (shapes Stage, StageName and Tags)."""
        yield from id_faults(arn, _ANY_SESSION_ID)
        if not _STAGE_NAME.fullmatch(self.name):
            yield book_rules.FORM, "the name of a stage has up to 128 letters, digits, - and _"
        if len(self.tags) > _MOST_TAGS:
            yield book_rules.FORM, f"a stage has at most {_MOST_TAGS} tags"


class SourceDetails(msgspec.Struct, kw_only=True):
    """All details of a source: of participants by stage, session and id, of sessions by stage and id, of stages and
    compositions by ARN.
    """

    participants: dict[tuple[str, str, str], ParticipantDetails] = {}
    sessions: dict[tuple[str, str], SessionTimes] = {}
    stages: dict[str, StageDetails] = {}
    compositions: dict[str, Composition] = {}


def _is_ingest_configuration(text: str) -> bool:
    try:
        return parse_arn(text).resource_type == INGEST_CONFIGURATION
    except MalformedArnError:
        return False


def _shown(value: object) -> str:
    """Return a value as a source has it: a time in ISO 8601, others in JSON."""
    if isinstance(value, int) and not isinstance(value, bool):
        return iso8601(value)
    return msgspec.json.encode(value).decode().strip('"')


def _agree(said: object, derived: object) -> bool:
    """Return whether a detail agrees with the events. Times may be printed without their fractions of a second."""
    if isinstance(said, int) and isinstance(derived, int) and not isinstance(said, bool):
        return abs(said - derived) < _SECOND_MS
    return said == derived
