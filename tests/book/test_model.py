"""Property test: random valid and invalid transactions, compared with a simple in-memory model of the book."""

import asyncio
import copy
import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.changes import (
    AppendEvent,
    Change,
    DeleteResource,
    DeleteStage,
    EndSession,
    OpenSession,
    PutParticipant,
    PutReplica,
    PutResource,
    PutStage,
    RevokeConnectionToken,
)
from stagebook.book.store import Book
from stagebook.stage.events import RECORDING_EVENT_NAMES, EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState, Replica, ReplicationState, Resource
from tests.book.sample import (
    ACCOUNT,
    ARN,
    NOON_MS,
    OTHER_ARN,
    append,
    end_session,
    open_book,
    open_session,
    public_key,
    put,
    put_resource,
    put_stage,
    replica,
)

ARNS = (ARN, OTHER_ARN)
SESSIONS = tuple(f"st-{number:013d}" for number in range(3))
PARTICIPANTS = ("p", "q")
KEYS = ("key/1", "key/2")
ReplicaKey = tuple[str, str, str, str, str]


class ContradictionError(Exception):
    """A change that contradicts the model. The book must refuse it."""


class ModelSession(msgspec.Struct):
    """The expected contents of a session."""

    open: bool = True
    participants: dict[str, ParticipantRecord] = {}
    events: dict[str, list[tuple[EventName, int]]] = {}


class ModelStage(msgspec.Struct):
    """The expected contents of a stage."""

    deleted: bool = False
    sessions: dict[str, ModelSession] = {}


class Model(msgspec.Struct):
    """The expected contents of the book. Resources and replicas are in the order of their creation."""

    stages: dict[str, ModelStage] = {}
    resources: dict[str, Resource] = {}
    replicas: dict[ReplicaKey, Replica] = {}
    revoked_tokens: set[str] = set()
    newest_ms: int = 0
    """The newest time of an event or of a session's end; later events are not recorded before it."""


def apply(model: Model, change: Change) -> None:
    """Apply a change to the model as the port defines it. Raises ContradictionError."""
    match change:
        case PutResource(resource=resource):
            model.resources[resource.arn] = resource
        case DeleteResource():
            model.resources.pop(change.arn, None)
        case PutReplica(replica=one):
            _session(model.stages, one.source_stage_arn, one.source_session_id)
            _session(model.stages, one.destination_stage_arn, one.destination_session_id)
            model.replicas[_key(one)] = one
        case RevokeConnectionToken():
            model.revoked_tokens.add(change.token_id)
        case AppendEvent():
            model.newest_ms = max(model.newest_ms, change.at_ms)
            find = _session if change.event.name in RECORDING_EVENT_NAMES else _open_session
            session = find(model.stages, change.stage_arn, change.session_id)
            _require(change.participant_id in session.participants)
            session.events.setdefault(change.participant_id, []).append((change.event.name, model.newest_ms))
        case _:
            _apply_to_stages(model.stages, change)
            if isinstance(change, EndSession):
                model.newest_ms = max(model.newest_ms, change.end_ms)


def _key(one: Replica) -> ReplicaKey:
    return (
        one.source_stage_arn,
        one.source_session_id,
        one.participant_id,
        one.destination_stage_arn,
        one.destination_session_id,
    )


def _apply_to_stages(model: dict[str, ModelStage], change: Change) -> None:
    match change:
        case PutStage(stage=stage):
            _require(not model.setdefault(stage.arn, ModelStage()).deleted)
        case DeleteStage():
            _require(change.stage_arn in model and not model[change.stage_arn].deleted)
            model[change.stage_arn].deleted = True
        case OpenSession():
            _require(change.stage_arn in model)
            sessions = model[change.stage_arn].sessions
            _require(not model[change.stage_arn].deleted and change.session_id not in sessions)
            _require(not any(session.open for session in sessions.values()))
            sessions[change.session_id] = ModelSession()
        case EndSession():
            _open_session(model, change.stage_arn, change.session_id).open = False
        case PutParticipant(participant=record):
            _open_session(model, change.stage_arn, change.session_id).participants[record.participant_id] = record


def _session(model: dict[str, ModelStage], arn: str, session_id: str) -> ModelSession:
    _require(arn in model and session_id in model[arn].sessions)
    return model[arn].sessions[session_id]


def _open_session(model: dict[str, ModelStage], arn: str, session_id: str) -> ModelSession:
    session = _session(model, arn, session_id)
    _require(session.open)
    return session


def _require(condition: bool) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise ContradictionError


def _changes() -> st.SearchStrategy[Change]:
    arn, session_id = st.sampled_from(ARNS), st.sampled_from(SESSIONS)
    participant_id = st.sampled_from(PARTICIPANTS)
    record = st.builds(
        ParticipantRecord,
        participant_id=participant_id,
        state=st.sampled_from(ParticipantState),
        attributes=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    )
    events = st.builds(
        lambda participant_id, name, stage_arn, session: append(
            participant_id, name, arn=stage_arn, session_id=session
        ),
        participant_id,
        st.sampled_from(EventName),
        arn,
        session_id,
    )
    key_arn, usual_session_id = st.sampled_from(KEYS), st.just(SESSIONS[0]) | session_id
    keys = st.builds(lambda one, name: put_resource(public_key(one, name=name)), key_arn, st.text(max_size=3))
    replicas = st.builds(
        lambda participant_id, source, destination, state: PutReplica(
            replica=replica(participant_id, source=source, destination=destination, state=state)
        ),
        participant_id,
        st.tuples(arn, usual_session_id),
        st.tuples(arn, usual_session_id),
        st.sampled_from(ReplicationState),
    )
    return st.one_of(
        events,
        events,
        keys,
        st.builds(DeleteResource, arn=key_arn),
        replicas,
        st.builds(RevokeConnectionToken, account_id=st.just(ACCOUNT), token_id=participant_id, at_ms=st.just(NOON_MS)),
        st.builds(lambda one, where, session: put(one, arn=where, session_id=session), record, arn, session_id),
        st.builds(lambda where, session: open_session(session, arn=where), arn, session_id),
        st.builds(lambda where, session: end_session(session, arn=where), arn, session_id),
        st.builds(put_stage, arn),
        st.builds(lambda where: DeleteStage(stage_arn=where, at_ms=NOON_MS), arn),
    )


@settings(max_examples=60, deadline=None)
@given(transactions=st.lists(st.lists(_changes(), max_size=8), max_size=25))
def test_the_book_agrees_with_the_model(transactions: list[list[Change]]) -> None:
    start: list[Change] = [put_stage(), open_session(SESSIONS[0]), put("p", session_id=SESSIONS[0])]
    start += [put_stage(OTHER_ARN), open_session(SESSIONS[0], arn=OTHER_ARN)]
    asyncio.run(_run([start, *transactions]))


async def _run(transactions: list[list[Change]]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        book = open_book(Path(folder) / "book", show_deleted_history=True)
        for changes in transactions:
            attempt = copy.deepcopy(model)
            try:
                for change in changes:
                    apply(attempt, change)
            except ContradictionError:
                _assert_refused(book, changes)
            else:
                book.submit(changes)
                model = attempt
        await book.close()
        book = open_book(Path(folder) / "book", show_deleted_history=True)
        try:
            _compare_stages(book, model.stages)
            _compare_rest(book, model)
        finally:
            await book.close()


def _assert_refused(book: Book, changes: list[Change]) -> None:
    try:
        book.submit(changes)
    except ChangeRefusedError:
        return
    raise AssertionError(f"accepted, although it contradicts the book: {changes}")


def _compare_rest(book: Book, model: Model) -> None:
    keys = book.list_resources(ACCOUNT, "public-key", after=None, limit=9).items
    assert keys == list(model.resources.values())
    assert book.count_resources(ACCOUNT, "public-key") == len(keys)
    assert [book.get_resource(arn) for arn in KEYS] == [model.resources.get(arn) for arn in KEYS]
    newest_first = list(reversed(model.replicas.values()))
    for arn in ARNS:
        for participant_id in PARTICIPANTS:
            listed = book.list_replicas(arn, participant_id, after=None, limit=99).items
            expected = [
                one for one in newest_first if (one.source_stage_arn, one.participant_id) == (arn, participant_id)
            ]
            assert listed == expected
    active = [one for one in model.replicas.values() if one.state is ReplicationState.ACTIVE]
    assert book.list_active_replicas() == active
    revoked = {one for one in PARTICIPANTS if book.is_connection_token_revoked(ACCOUNT, one)}
    assert revoked == model.revoked_tokens


def _compare_stages(book: Book, model: dict[str, ModelStage]) -> None:
    not_deleted = [arn for arn, stage in model.items() if not stage.deleted]
    assert [stage.arn for stage in book.list_stages(ACCOUNT, after=None, limit=9).items] == not_deleted
    sequences: list[int] = []
    for arn, stage in model.items():
        sessions = book.list_sessions(arn, after=None, limit=9).items
        assert [one.session_id for one in sessions] == list(reversed(stage.sessions))
        assert [one.end_ms is None for one in sessions] == [one.open for one in reversed(stage.sessions.values())]
        for session_id, session in stage.sessions.items():
            for participant_id in PARTICIPANTS:
                record = book.get_participant(arn, session_id, participant_id)
                assert record == session.participants.get(participant_id)
                recorded = book.list_events(arn, session_id, participant_id)
                assert [(one.event.name, one.time_ms) for one in recorded] == session.events.get(participant_id, [])
                sequences += [one.sequence for one in recorded]
    assert len(sequences) == len(set(sequences))
