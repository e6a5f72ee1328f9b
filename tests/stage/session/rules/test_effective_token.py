"""Which of a participant's tokens counts, and what an arrival takes from it."""

import pytest
from msgspec.structs import replace

from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.resources import Capability, ParticipantRecord, ReplicationState, ReplicationType
from stagebook.stage.session.rules.effective_token import (
    REMEMBERED_TOKENS,
    arrive,
    effective_claims,
    replicated_refusal,
    token_claims,
)
from stagebook.stage.session.session_facts import TokenExchangeRequested
from stagebook.stage.session.session_state import SessionParticipant
from stagebook.stage.source_limits import SourceWatch
from tests.stage.session.decided_session import DecidedSession, claims, ended, publish, stream_claims

OWN = claims("A", key_arn="key")
MINTED = claims("A")


def on_stage(current: Claims) -> DecidedSession:
    """A session in which A is on the stage with a token."""
    session = DecidedSession()
    session.open_events("A", user_id=current.user_id, key_arn=current.key_arn)
    return session


def is_refused(session: DecidedSession, shown: Claims) -> bool:
    with pytest.raises(TokenRefusedError) as refusal:
        effective_claims(session.participant("A"), shown)
    return refusal.value.refusal is TokenRefusal.JTI_IN_USE


class TestEffectiveClaims:
    def test_a_new_participant_has_the_claims_of_its_token(self) -> None:
        assert effective_claims(None, OWN) == OWN

    def test_the_current_token_applies(self) -> None:
        assert effective_claims(on_stage(OWN).participant("A"), OWN) == OWN

    def test_another_self_signed_token_with_the_same_jti_is_refused(self) -> None:
        session = on_stage(OWN)

        assert is_refused(session, replace(OWN, user_id="another"))
        assert is_refused(session, replace(OWN, expires_at_seconds=1))
        assert is_refused(session, replace(OWN, key_arn="another key"))

    def test_an_offer_in_progress_occupies_the_jti(self) -> None:
        session = DecidedSession()
        session.apply(publish("A", "offer", key_arn="key"))

        assert is_refused(session, replace(OWN, user_id="another"))

    def test_a_minted_and_a_self_signed_token_exclude_each_other(self) -> None:
        assert is_refused(on_stage(MINTED), OWN)
        assert is_refused(on_stage(OWN), MINTED)

    def test_all_tokens_that_the_server_mints_for_a_participant_count(self) -> None:
        other = replace(MINTED, expires_at_seconds=1)

        assert effective_claims(on_stage(MINTED).participant("A"), other) == other

    def test_the_connection_token_is_no_part_of_the_token(self) -> None:
        session = on_stage(OWN)

        assert effective_claims(session.participant("A"), replace(OWN, connection_token_id="one")) == OWN
        assert token_claims(replace(OWN, connection_token_id="one")) == OWN
        assert token_claims(OWN) is OWN

    def test_an_exchanged_token_grants_what_the_current_one_does(self) -> None:
        session = on_stage(OWN)
        new = replace(OWN, capabilities=frozenset({Capability.SUBSCRIBE}))
        session.apply(TokenExchangeRequested(participant_id="A", claims=new))

        assert effective_claims(session.participant("A"), OWN) == new

    def test_the_number_of_remembered_tokens_is_bounded(self) -> None:
        session = on_stage(OWN)
        for number in range(REMEMBERED_TOKENS + 1):
            session.apply(TokenExchangeRequested(participant_id="A", claims=replace(OWN, user_id=f"user-{number}")))

        assert len(session.participant("A").former_claims) == REMEMBERED_TOKENS
        assert is_refused(session, OWN)
        assert effective_claims(session.participant("A"), replace(OWN, user_id="user-0")).user_id == "user-16"

    def test_off_the_stage_each_token_has_its_own_claims(self) -> None:
        session = on_stage(OWN)
        session.apply(ended("A", "ws-A"))

        assert effective_claims(session.session.participants.get("A"), replace(OWN, user_id="another")).user_id == (
            "another"
        )


class TestArrive:
    @staticmethod
    def participant(**changes: object) -> SessionParticipant:
        record = replace(ParticipantRecord(participant_id="A", user_id="before"), **changes)
        return SessionParticipant(claims=OWN, record=record, former_claims=(MINTED,))

    def test_the_row_follows_the_token(self) -> None:
        arrived = arrive(self.participant(), replace(OWN, user_id="ada", attributes={"role": "host"}))

        assert (arrived.record.user_id, arrived.record.attributes) == ("ada", {"role": "host"})
        assert arrived.record.ingest_configuration_arn is None

    def test_the_book_lacks_a_row_that_changes(self) -> None:
        written = replace(self.participant(), is_written=True)

        assert not arrive(written, replace(OWN, user_id="ada")).is_written
        assert arrive(written, replace(OWN, user_id="before")).is_written

    def test_the_row_of_an_encoder_names_its_configuration(self) -> None:
        record = arrive(self.participant(), stream_claims("A", feeds="V")).record

        assert record.ingest_configuration_arn is not None
        assert record.redundant_ingest

    def test_a_row_that_does_not_change_is_the_same_value(self) -> None:
        participant = self.participant(user_id=OWN.user_id)

        assert arrive(participant, OWN).record is participant.record

    def test_exchanged_tokens_and_measurements_are_forgotten(self) -> None:
        participant = replace(self.participant(), source_watch=SourceWatch(seconds_above=3))

        arrived = arrive(participant, OWN)

        assert arrived.former_claims == ()
        assert arrived.source_watch == SourceWatch()

    def test_a_former_replica_is_an_independent_participant(self) -> None:
        participant = self.participant(
            replication_type=ReplicationType.REPLICA,
            replication_state=ReplicationState.STOPPED,
            source_stage_arn="there",
            source_session_id="st-there",
        )

        arrived = arrive(participant, OWN)

        assert arrived.record.replication_type is ReplicationType.NONE
        assert arrived.record.replication_state is None
        assert (arrived.record.source_stage_arn, arrived.record.source_session_id) == (None, None)
        assert not arrived.machine.is_replica

    def test_a_source_of_replications_stays_one(self) -> None:
        participant = self.participant(
            replication_type=ReplicationType.SOURCE, replication_state=ReplicationState.ACTIVE
        )

        assert arrive(participant, OWN).record.replication_type is ReplicationType.SOURCE


def test_the_refusal_for_a_replica_s_id_says_so() -> None:
    assert replicated_refusal().refusal is TokenRefusal.PARTICIPANT_REPLICATED
