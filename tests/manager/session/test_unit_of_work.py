"""Transactions over sessions: one transaction of the book, then the orders; all of it or nothing."""

import asyncio

import pytest
from msgspec.structs import replace

from stagebook.book.book_errors import BookFailedError
from stagebook.book.changes import (
    AppendEvent,
    EndSession,
    OpenSession,
    PutParticipant,
    PutReplica,
    RevokeParticipant,
)
from stagebook.book.store import Durable
from stagebook.manager.session import unit_of_work
from stagebook.manager.session.transaction import Transaction
from stagebook.stage.errors import AttemptRefusedError, ConflictError, ServerBusyError
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.resources import Stage
from stagebook.stage.session.session_facts import (
    AttemptAnswered,
    LingerElapsed,
    ReplicationRequested,
    SessionClosed,
    SessionFact,
)
from stagebook.stage.session.session_phase import SessionPhase
from stagebook.stage.session.session_state import Session
from tests.manager.manager_harness import LINGER_MS, SettableClock
from tests.manager.session.held_book import HeldUnit
from tests.stage.session.decided_session import (
    ACCOUNT,
    OTHER_STAGE,
    STAGE,
    connected,
    ended,
    events,
    publish,
    subscribe,
)

HERE = Stage(arn=STAGE, account_id=ACCOUNT, name="here", created_ms=0)
THERE = Stage(arn=OTHER_STAGE, account_id=ACCOUNT, name="there", created_ms=0)


@pytest.fixture
def held() -> HeldUnit:
    return HeldUnit()


def commit(held: HeldUnit, *facts: SessionFact, stage: Stage = HERE) -> Durable | None:
    """Apply facts in one transaction each; return the future of the last."""
    durable = None
    for fact in facts:
        transaction = held.unit.begin()
        transaction.apply(held.unit.session_of(stage), fact)
        durable = transaction.commit()
    return durable


def start_publishing(held: HeldUnit, participant_id: str = "P") -> None:
    connection_id = f"pub-{participant_id}"
    answered = AttemptAnswered(participant_id=participant_id, connection_id=connection_id)
    commit(held, publish(participant_id, connection_id), answered, connected(participant_id, connection_id))


def replicate(held: HeldUnit, participant_id: str = "P") -> tuple[Transaction, Exception | None]:
    """Apply a replication to the other stage; return the transaction and its refusal."""
    destination = held.unit.session_of(THERE)
    transaction = held.unit.begin()
    transaction.sessions[THERE.arn] = destination
    fact = ReplicationRequested(
        participant_id=participant_id,
        replication_id="r",
        destination_stage_arn=THERE.arn,
        destination_session_id=destination.session_id,
        window_seconds=30,
        attributes={},
    )
    return transaction, transaction.apply(held.unit.session_of(HERE), fact)


class TestTransaction:
    async def test_a_decision_is_one_transaction_of_the_book_in_the_order_it_needs(self, held: HeldUnit) -> None:
        commit(held, events("W", "ws"))

        (changes,) = held.book.transactions
        assert [type(change) for change in changes] == [OpenSession, PutParticipant, AppendEvent]
        assert {change.session_id for change in changes if isinstance(change, AppendEvent | PutParticipant)} == {
            held.unit.registry.sessions[STAGE].session_id
        }

    async def test_everything_in_it_has_one_time(self, held: HeldUnit) -> None:
        transaction = held.unit.begin()
        held.clock.ms += 1_000
        transaction.apply(held.unit.session_of(HERE), events("W", "ws"))

        times = {change.at_ms for change in transaction.changes() if isinstance(change, AppendEvent)}

        assert times == {transaction.at.wall_ms} == {SettableClock().ms}

    async def test_changes_of_resources_come_last(self, held: HeldUnit) -> None:
        commit(held, events("W", "ws"))
        transaction = held.unit.begin()
        transaction.apply(held.unit.session_of(HERE), SessionClosed(cause=Cause.STAGE_DELETED))
        transaction.add(RevokeParticipant(stage_arn=STAGE, participant_id="W", at_ms=0, reason=""))

        assert [type(change) for change in transaction.changes()] == [
            PutParticipant,
            AppendEvent,
            EndSession,
            RevokeParticipant,
        ]

    async def test_several_facts_of_one_transaction_see_each_other(self, held: HeldUnit) -> None:
        held.unit.rules = replace(held.unit.rules, limits=replace(RELAXED, publishers_per_stage=1))
        transaction = held.unit.begin()
        session = held.unit.session_of(HERE)

        first = transaction.apply(session, publish("P", "one"))
        second = transaction.apply(session, publish("Q", "two"))

        assert first is None
        assert isinstance(second, AttemptRefusedError)

    async def test_without_a_commit_nothing_has_changed(self, held: HeldUnit) -> None:
        transaction = held.unit.begin()
        transaction.apply(held.unit.session_of(HERE), events("W", "ws"))

        assert held.unit.registry.sessions == {}
        assert held.unit.registry.routes == {}
        assert held.book.transactions == []

    async def test_the_account_s_usage_includes_the_sessions_of_the_transaction(self, held: HeldUnit) -> None:
        held.unit.rules = replace(held.unit.rules, limits=replace(RELAXED, publishers_per_account=1))
        transaction = held.unit.begin()
        transaction.apply(held.unit.session_of(HERE), publish("P", "one"))

        other = replace(publish("Q", "two"), claims=replace(publish("Q", "two").claims, stage_arn=OTHER_STAGE))
        refusal = transaction.apply(held.unit.session_of(THERE), other)

        assert isinstance(refusal, AttemptRefusedError)
        assert "the account has 1 publishers already" in str(refusal)


class TestForwardedFacts:
    async def test_both_ends_of_a_replication_are_one_transaction(self, held: HeldUnit) -> None:
        start_publishing(held)
        transaction, refusal = replicate(held)

        transaction.commit()

        assert refusal is None
        changes = held.book.transactions[-1]
        assert {change.stage_arn for change in changes if isinstance(change, AppendEvent)} == {STAGE, OTHER_STAGE}
        assert sum(isinstance(change, PutReplica) for change in changes) == 1
        assert set(held.unit.registry.sessions) == {STAGE, OTHER_STAGE}

    async def test_a_refusal_of_the_other_session_refuses_all(self, held: HeldUnit) -> None:
        start_publishing(held)
        claims = replace(events("P", "ws").claims, stage_arn=OTHER_STAGE)
        commit(held, replace(events("P", "ws"), claims=claims), stage=THERE)
        before = dict(held.unit.registry.sessions)

        _, refusal = replicate(held)

        assert isinstance(refusal, ConflictError)
        assert held.unit.registry.sessions == before

    async def test_a_fact_for_a_session_that_has_ended_is_dropped(self, held: HeldUnit) -> None:
        start_publishing(held)
        replicate(held)[0].commit()
        del held.unit.registry.sessions[OTHER_STAGE]

        commit(held, ended("P", "pub-P"))

        assert set(held.unit.registry.sessions) == {STAGE}


class TestCommit:
    async def test_sessions_routes_and_timers_follow_at_once(self, held: HeldUnit) -> None:
        start_publishing(held)

        session = held.unit.registry.sessions[STAGE]
        route = held.unit.registry.routes["pub-P"]
        assert session.phase is SessionPhase.OPEN
        assert (route.stage_arn, route.participant_id, route.kind) == (STAGE, "P", ConnectionKind.PUBLISH)
        assert len(held.unit.timers) == 1

    async def test_orders_to_the_engine_wait_until_the_events_are_durable(self, held: HeldUnit) -> None:
        start_publishing(held)
        await held.book.release(len(held.book.transactions))
        commit(held, ended("P", "pub-P"))
        await held.dispatcher.settled()
        assert held.engine.ended_sources == []

        await held.book.release()
        await held.dispatcher.settled()

        assert held.engine.ended_sources == ["source-pub-P"]

    async def test_orders_without_an_event_are_carried_out_at_once(self, held: HeldUnit) -> None:
        start_publishing(held)
        commit(held, publish("P", "two"), AttemptAnswered(participant_id="P", connection_id="two"))

        commit(held, ended("P", "two", Cause.NEVER_CONNECTED))
        await held.dispatcher.settled()

        assert held.engine.closed == ["two"]

    async def test_orders_of_a_transaction_that_failed_are_not_carried_out(self, held: HeldUnit) -> None:
        start_publishing(held)
        commit(held, ended("P", "pub-P"))

        await held.book.fail()
        await held.dispatcher.settled()

        assert held.engine.ended_sources == []

    async def test_a_book_that_refuses_leaves_everything_as_it_was(self, held: HeldUnit) -> None:
        start_publishing(held)
        await held.book.fail()
        before, routes = dict(held.unit.registry.sessions), dict(held.unit.registry.routes)

        with pytest.raises(BookFailedError):
            commit(held, ended("P", "pub-P"))

        assert held.unit.registry.sessions == before
        assert held.unit.registry.routes == routes

    async def test_each_replaced_session_is_reported(self, held: HeldUnit) -> None:
        changed: list[tuple[Session, set[str]]] = []
        held.unit.changed = lambda session, participant_ids: changed.append((session, set(participant_ids)))
        start_publishing(held)

        replicate(held)[0].commit()

        reported = {(session.stage_arn, *participant_ids) for session, participant_ids in changed[-2:]}
        assert reported == {(OTHER_STAGE, "P"), (STAGE, "P")}
        for session, _ in changed[-2:]:
            assert session is held.unit.registry.sessions[session.stage_arn]

    async def test_a_transaction_without_a_change_is_durable_with_the_one_before(self, held: HeldUnit) -> None:
        assert commit(held, publish("P", "one")) is None
        before = commit(held, events("W", "ws"))

        assert commit(held, publish("P", "two")) is before
        assert len(held.book.transactions) == 1

    async def test_a_refused_attempt_is_committed_with_its_event(self, held: HeldUnit) -> None:
        transaction = held.unit.begin()
        refusal = transaction.apply(held.unit.session_of(HERE), subscribe("V", "one", "nobody"))
        transaction.commit()

        assert isinstance(refusal, AttemptRefusedError)
        assert held.unit.registry.sessions[STAGE].phase is SessionPhase.LINGERING
        assert len(held.unit.timers) == 1


class TestDurability:
    async def test_the_backlog_counts_what_is_not_durable(self, held: HeldUnit) -> None:
        commit(held, events("A", "ws-A"), events("B", "ws-B"))
        assert held.unit.book.backlog == 2

        await held.book.release()
        assert held.unit.book.backlog == 1

    async def test_a_backlog_that_is_too_long_refuses_attempts(
        self, held: HeldUnit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unit_of_work, "MAXIMUM_BACKLOG", 1)
        held.unit.require_capacity()
        commit(held, events("A", "ws-A"))

        with pytest.raises(ServerBusyError):
            held.unit.require_capacity()

    async def test_settled_waits_for_the_last_transaction_and_its_orders(self, held: HeldUnit) -> None:
        start_publishing(held)
        commit(held, ended("P", "pub-P"))
        settled = asyncio.create_task(held.unit.settled())
        await asyncio.sleep(0)
        assert not settled.done()

        await held.book.release(3)
        await settled

        assert held.engine.ended_sources == ["source-pub-P"]

    async def test_waiting_for_nothing_is_allowed(self, held: HeldUnit) -> None:
        await held.unit.wait(None)
        await held.unit.settled()


class TestKnownRecords:
    async def test_the_row_of_a_departed_participant_is_known_before_and_after_it_is_durable(
        self, held: HeldUnit
    ) -> None:
        commit(held, events("A", "ws-A"), events("B", "ws-B"), ended("B", "ws-B"))
        session = held.unit.session_of(HERE)

        pending = held.unit.entries.known_record(session, "B")
        await held.book.release(3)
        durable = held.unit.entries.known_record(session, "B")

        assert pending is not None
        assert pending == durable
        assert held.unit.entries._departed == {}

    async def test_of_two_departures_the_newer_row_counts(self, held: HeldUnit) -> None:
        commit(held, events("A", "ws-A"), events("B", "ws-B"), ended("B", "ws-B"))
        known = held.unit.entries.known_record(held.unit.session_of(HERE), "B")
        commit(held, events("B", "again", known=known, user_id="grace"), ended("B", "again"))
        await held.book.release(3)

        row = held.unit.entries.known_record(held.unit.session_of(HERE), "B")

        assert row is not None
        assert row.user_id == "grace"
        await held.book.release(2)
        assert held.unit.entries._departed == {}

    async def test_a_participant_in_the_session_has_no_known_row(self, held: HeldUnit) -> None:
        commit(held, events("A", "ws-A"), events("B", "ws-B"), ended("B", "ws-B"))

        assert held.unit.entries.known_record(held.unit.session_of(HERE), "A") is None

    async def test_a_session_that_no_participant_has_left_reads_no_row_from_the_book(self, held: HeldUnit) -> None:
        commit(held, events("A", "ws-A"))

        assert held.unit.entries.known_record(held.unit.session_of(HERE), "B") is None
        assert held.unit.entries.known_record(held.unit.session_of(THERE), "B") is None


class TestClocks:
    async def test_events_are_not_before_the_newest_event_of_the_book(self) -> None:
        held = HeldUnit(last_time_ms=SettableClock().ms + 5_000)

        assert held.unit.now().wall_ms == SettableClock().ms + 5_000
        assert held.unit.system_time_ms() == SettableClock().ms

    async def test_the_end_of_a_session_is_never_before_its_start(self, held: HeldUnit) -> None:
        commit(held, events("A", "ws-A"), ended("A", "ws-A"))
        held.clock.jump_ms = -60_000
        held.clock.ms += LINGER_MS

        commit(held, LingerElapsed())

        (start,) = [change.start_ms for change in held.book.transactions[0] if isinstance(change, OpenSession)]
        (end,) = [change.end_ms for change in held.book.transactions[-1] if isinstance(change, EndSession)]
        assert start <= end
        assert held.unit.registry.sessions == {}

    async def test_each_new_session_has_its_own_id(self, held: HeldUnit) -> None:
        assert held.unit.session_of(HERE).session_id != held.unit.session_of(HERE).session_id

        commit(held, events("A", "ws-A"))

        assert held.unit.session_of(HERE) is held.unit.registry.sessions[STAGE]


async def test_settled_waits_for_the_orders_of_what_has_become_durable_in_this_turn(held: HeldUnit) -> None:
    start_publishing(held)
    commit(held, ended("P", "pub-P"))
    releasing = held.book.release(len(held.book.transactions))
    releasing.send(None)  # the callbacks of the futures are due, and have not run

    await held.unit.settled()

    assert held.engine.ended_sources == ["source-pub-P"]
    releasing.close()
