"""Makes events and details from the items that the AWS CLI prints.

ListParticipantEvents lists the newest event first, and says neither the session nor the stage of an event, nor the
order of events that have the same time. So

* the caller names the session;
* the events of a participant are taken in the order of their source, newest first, unless their times only grow; a
  sort by time keeps that order where times are equal;
* an event gets the first free sequence number of its time. The events of a participant that the book has already get
  the sequence numbers that they have there, so a source can be imported again.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

import msgspec

from stagebook.audit import book_rules
from stagebook.audit.event_form import id_faults
from stagebook.audit.import_sources.aws_output import (
    AwsEvent,
    AwsItem,
    AwsParticipant,
    AwsSession,
    AwsStage,
    AwsToken,
    convert_item,
    item_time_ms,
)
from stagebook.audit.import_sources.export_lines import SourceFaultError, checked_event, require_no_fault
from stagebook.audit.import_sources.import_source import END_OF_EVENTS_MS, SourcedEvent
from stagebook.audit.import_sources.source_details import ParticipantDetails, SessionTimes, SourceDetails, StageDetails
from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import SEQUENCE_TIME_SHIFT, sequence_time_ms
from stagebook.book.event_log import LoggedEvent
from stagebook.stage.arns import parse_arn
from stagebook.stage.events import Event, ExchangedToken, ReplicationDestination, TokenExchange
from stagebook.stage.resources import ClientInfo, ParticipantProtocol

TimedEvent: TypeAlias = tuple[int, Event, int]
"""The time in ms, the event and its place."""
KnownEvents: TypeAlias = Callable[[str], list[RecordedEvent]]
"""Returns the events of a participant that the book has in the session already, oldest first."""


class NamedSession(msgspec.Struct, frozen=True, kw_only=True):
    """The session that the caller of an import has named. The id is empty if only the stage was named."""

    stage_arn: str
    session_id: str = ""


class AwsEvents:
    """Collects the events and details of all documents."""

    def __init__(self, session: NamedSession | None, details: SourceDetails) -> None:
        """Raises SourceFaultError for a session whose ids have the wrong form."""
        self._session = session
        self._details = details
        self._events: dict[str, list[TimedEvent]] = {}
        if session is not None:
            require_no_fault(id_faults(session.stage_arn, session.session_id or "st-0000000000000"))

    def add(self, item: AwsItem, place: int) -> None:
        """Take an item. Raises SourceFaultError."""
        if item.kind == "events":
            self._add_event(convert_item(item.value, AwsEvent), place)
        elif item.kind == "participants":
            self._add_participant(convert_item(item.value, AwsParticipant), place)
        elif item.kind == "sessions":
            self._add_session(convert_item(item.value, AwsSession), place)
        else:
            stage = convert_item(item.value, AwsStage)
            stage_details = StageDetails(name=stage.name or "", tags=stage.tags or {})
            require_no_fault(stage_details.faults(stage.arn))
            self._details.stages[stage.arn] = stage_details

    @property
    def has_events(self) -> bool:
        """Whether there was an event."""
        return bool(self._events)

    def in_order(self, known: KnownEvents, *, newest_sequence: int) -> Iterator[SourcedEvent]:
        """Yield all events in the order of the sequence numbers that they get.

        `newest_sequence` is that of the book: an event of the same millisecond follows it.
        """
        if not self._events:
            return
        session = self._require_session()
        numbered: list[tuple[int, str, Event, int]] = []
        rest: list[tuple[int, int, int, str, Event, int]] = []
        for rank, (participant_id, events) in enumerate(self._events.items()):
            oldest_first = oldest_events_first(events)
            stored = known(participant_id)
            shared = _common_beginning(stored, oldest_first)
            for recorded, (_, event, place) in zip(stored[:shared], oldest_first[:shared], strict=True):
                numbered.append((recorded.sequence, participant_id, event, place))
            for number, (time_ms, event, place) in enumerate(oldest_first[shared:]):
                rest.append((time_ms, rank, number, participant_id, event, place))
        numbered += _numbered(sorted(rest, key=lambda each: each[:3]), newest_sequence)
        for sequence, participant_id, event, place in sorted(numbered, key=lambda each: each[0]):
            yield _logged(session, participant_id, sequence, event, self._details), place

    def _add_event(self, item: AwsEvent, place: int) -> None:
        session = self._require_session()
        event = _event(item)
        time_ms = _book_time_ms(item.event_time, "eventTime")
        checked_event(_logged(session, item.participant_id, time_ms << SEQUENCE_TIME_SHIFT, event, self._details))
        self._events.setdefault(item.participant_id, []).append((time_ms, event, place))

    def _add_participant(self, item: AwsParticipant, place: int) -> None:
        session = self._require_session()
        key = (session.stage_arn, session.session_id, item.participant_id)
        first = None if item.first_join_time is None else item_time_ms(item.first_join_time, "firstJoinTime")
        details = ParticipantDetails(
            place=place,
            user_id=item.user_id,
            attributes=item.attributes,
            state=item.state,
            published=item.published,
            first_join_ms=first,
            protocol=item.protocol or ParticipantProtocol.UNKNOWN,
            client=ClientInfo(
                isp_name=item.isp_name or "",
                os_name=item.os_name or "",
                os_version=item.os_version or "",
                browser_name=item.browser_name or "",
                browser_version=item.browser_version or "",
                sdk_version=item.sdk_version or "",
            ),
            # A participant that is no replica has empty ones.
            source_stage_arn=item.source_stage_arn or None,
            source_session_id=item.source_session_id or None,
            redundant_ingest=bool(item.redundant_ingest),
            ingest_configuration_arn=item.ingest_configuration_arn or None,
        )
        require_no_fault(details.faults(item.participant_id))
        # get-participant says more than list-participants, in whichever order the two come.
        if details.attributes is not None or key not in self._details.participants:
            self._details.participants[key] = details

    def _add_session(self, item: AwsSession, place: int) -> None:
        if self._session is None:
            raise SourceFaultError(book_rules.FORM, "the sessions have no stage: name it with --stage-arn")
        self._details.sessions[self._session.stage_arn, item.session_id] = SessionTimes(
            place=place,
            start_ms=_book_time_ms(item.start_time, "startTime"),
            end_ms=None if item.end_time is None else _book_time_ms(item.end_time, "endTime"),
        )

    def _require_session(self) -> NamedSession:
        if self._session is None or not self._session.session_id:
            raise SourceFaultError(
                book_rules.FORM, "this output has no session: name it with --stage-arn and --session-id"
            )
        return self._session


def _book_time_ms(value: str | float, member: str) -> int:
    """Return a time in ms since the epoch that has a sequence number. Raises SourceFaultError for others."""
    time_ms = item_time_ms(value, member)
    if time_ms >= END_OF_EVENTS_MS:
        raise SourceFaultError(book_rules.FORM, f"{member} is after September 2248")
    return time_ms


def oldest_events_first(events: list[TimedEvent]) -> list[TimedEvent]:
    """Return the events of a participant, oldest first. Where times are equal, the order is that of the source.

    ListParticipantEvents lists the newest first. A source whose times only grow is taken as one that lists the oldest
    first.
    """
    times = [time_ms for time_ms, _, _ in events]
    if times[0] < times[-1] and all(earlier <= later for earlier, later in pairwise(times)):
        return events
    return sorted(events, key=lambda each: -each[0])[::-1]


def _common_beginning(stored: list[RecordedEvent], events: list[TimedEvent]) -> int:
    """Return how many events at the beginning are the same."""
    for number, (recorded, (time_ms, event, _)) in enumerate(zip(stored, events, strict=False)):
        if recorded.time_ms != time_ms or recorded.event != event:
            return number
    return min(len(stored), len(events))


def _numbered(
    rest: Iterable[tuple[int, int, int, str, Event, int]], newest_sequence: int
) -> Iterator[tuple[int, str, Event, int]]:
    """Yield events that are in order of time with the first free sequence numbers of their times."""
    sequence = 0
    for time_ms, _, _, participant_id, event, place in rest:
        sequence = max(sequence + 1, time_ms << SEQUENCE_TIME_SHIFT)
        if sequence_time_ms(newest_sequence) == time_ms:
            sequence = max(sequence, newest_sequence + 1)
        yield sequence, participant_id, event, place


def _logged(
    session: NamedSession, participant_id: str, sequence: int, event: Event, details: SourceDetails
) -> LoggedEvent:
    known = details.participants.get((session.stage_arn, session.session_id, participant_id))
    return LoggedEvent(
        account_id=parse_arn(session.stage_arn).account_id,
        stage_arn=session.stage_arn,
        session_id=session.session_id,
        user_id="" if known is None else known.user_id or "",
        recorded=RecordedEvent(sequence=sequence, participant_id=participant_id, event=event),
    )


def _event(item: AwsEvent) -> Event:
    destination = None
    if (item.destination_stage_arn is None) != (item.destination_session_id is None):
        raise SourceFaultError(book_rules.DESTINATION, "a destination is a stage and a session")
    if item.destination_stage_arn is not None and item.destination_session_id is not None:
        destination = ReplicationDestination(
            stage_arn=item.destination_stage_arn, session_id=item.destination_session_id
        )
    if (item.previous_token is None) != (item.new_token is None):
        raise SourceFaultError(book_rules.TOKENS, "an exchange has the previous and the new token")
    exchange = None
    if item.previous_token is not None and item.new_token is not None:
        exchange = TokenExchange(previous=_token(item.previous_token), new=_token(item.new_token))
    return Event(
        name=item.name,
        remote_participant_id=item.remote_participant_id,
        error_code=item.error_code,
        replica=bool(item.replica),
        destination=destination,
        exchange=exchange,
    )


def _token(token: AwsToken) -> ExchangedToken:
    return ExchangedToken(
        capabilities=token.capabilities,
        attributes=token.attributes,
        user_id=token.user_id,
        expiration_ms=item_time_ms(token.expiration_time, "expirationTime"),
    )
