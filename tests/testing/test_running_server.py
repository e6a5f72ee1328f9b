"""What a test does with a server: accounts, clients, tokens, participants, the clock, ids."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import boto3
import pytest
from botocore.config import Config

from stagebook.testing import Account, CallRefusedError, StagebookServer

Client: TypeAlias = Any


@pytest.fixture
def stage_arn(ivs: Client) -> str:
    arn: str = ivs.create_stage(name="show")["stage"]["arn"]
    return arn


def test_accounts_do_not_see_each_other(stagebook: StagebookServer, ivs: Client, stage_arn: str) -> None:
    assert [stage["arn"] for stage in ivs.list_stages()["stages"]] == [stage_arn]
    other = stagebook.client(account=stagebook.new_account())
    assert other.list_stages()["stages"] == []


def test_a_client_takes_arguments_of_boto3(stagebook: StagebookServer, stagebook_account: Account) -> None:
    client = stagebook.client(account=stagebook_account, config=Config(user_agent_extra="tested"))
    assert "tested" in client.meta.config.user_agent


def test_code_that_makes_its_own_client_finds_the_server(
    stagebook_environment: Mapping[str, str], stagebook_account: Account
) -> None:
    arn = boto3.client("ivs-realtime").create_stage(name="own")["stage"]["arn"]
    assert arn.split(":")[4] == stagebook_account.account_id
    assert {name: os.environ[name] for name in stagebook_environment} == stagebook_environment


def test_the_environment_and_the_session_of_boto3_are_restored(stagebook: StagebookServer) -> None:
    boto3.setup_default_session(region_name="eu-central-1")
    session, before = boto3.DEFAULT_SESSION, dict(os.environ)
    try:
        with stagebook.patched_environment():
            assert boto3.client("ivs-realtime").meta.region_name == "us-west-2"
        assert boto3.DEFAULT_SESSION is session
        assert dict(os.environ) == before
    finally:
        boto3.DEFAULT_SESSION = None


def test_a_participant_joins_with_the_token_of_the_application(
    stagebook: StagebookServer, ivs: Client, stage_arn: str
) -> None:
    token = ivs.create_participant_token(stageArn=stage_arn, userId="zoe")["participantToken"]
    zoe = stagebook.participant(token=token["token"])
    assert zoe.session_id is None
    zoe.join()
    assert (zoe.participant_id, zoe.now.user_id) == (token["participantId"], "zoe")
    found = ivs.get_participant(stageArn=stage_arn, sessionId=zoe.session_id, participantId=zoe.participant_id)
    assert found["participant"]["state"] == "CONNECTED"


def test_the_members_of_a_new_token_can_be_chosen(stagebook: StagebookServer, stage_arn: str) -> None:
    ann = stagebook.participant(
        stage_arn, participant_id="ann1", user_id="ann", attributes={"seat": "7"}, capabilities=["SUBSCRIBE"]
    )
    assert (ann.participant_id, ann.now.attributes, ann.now.capabilities) == ("ann1", {"seat": "7"}, ("SUBSCRIBE",))
    with pytest.raises(CallRefusedError, match="INSUFFICIENT_CAPABILITIES"):
        ann.publish()


def test_an_exchange_and_a_lost_connection_are_told(stagebook: StagebookServer, stage_arn: str) -> None:
    ann = stagebook.participant(stage_arn, user_id="ann")
    ann.join()
    (exchanged,) = ann.exchange_token(user_id="anna", attributes={"seat": "7"})
    assert exchanged.new_token is not None
    assert exchanged.previous_token is not None
    assert (exchanged.previous_token.user_id, exchanged.new_token.user_id) == ("ann", "anna")
    assert exchanged.new_token.attributes == {"seat": "7"}
    (left,) = ann.lose_connection()
    assert (left.name, left.cause, ann.now.left_cause) == ("LEFT", "peer_lost", "peer_lost")


def test_an_encoder_publishes_with_the_stream_key_of_the_application(
    stagebook: StagebookServer, ivs: Client, stage_arn: str
) -> None:
    made = ivs.create_ingest_configuration(stageArn=stage_arn, ingestProtocol="RTMPS", userId="obs")
    encoder = stagebook.encoder(made["ingestConfiguration"]["streamKey"])
    assert [event.name for event in encoder.publish()] == ["JOINED", "PUBLISH_STARTED"]
    assert encoder.participant_id == made["ingestConfiguration"]["participantId"]
    assert encoder.now.is_publishing
    assert [event.name for event in encoder.stop()] == ["PUBLISH_STOPPED", "LEFT"]


def test_a_mute_is_told_to_others_and_makes_no_event(stagebook: StagebookServer, stage_arn: str) -> None:
    ann = stagebook.participant(stage_arn)
    ann.publish()
    assert ann.mute(audio=True, video=False) == ()


def test_the_clock_moves(stagebook: StagebookServer, stage_arn: str) -> None:
    before = stagebook.clock.now
    late = stagebook.participant(stage_arn, duration_minutes=60)
    assert stagebook.clock.advance(timedelta(hours=1), minutes=1) >= before + timedelta(minutes=61)
    with pytest.raises(CallRefusedError, match="expired"):
        late.join()


def test_a_clock_is_frozen_until_it_is_resumed(stagebook: StagebookServer, stage_arn: str) -> None:
    at = stagebook.clock.now + timedelta(hours=1)
    frozen = stagebook.clock.freeze(at)
    assert frozen == at.replace(microsecond=at.microsecond // 1000 * 1000)
    (joined,) = stagebook.participant(stage_arn).join()
    assert joined.event_time == frozen == stagebook.clock.now
    assert stagebook.clock.advance(seconds=1) == frozen + timedelta(seconds=1)
    assert stagebook.clock.is_frozen
    stagebook.clock.resume()
    assert not stagebook.clock.is_frozen


@pytest.mark.usefixtures("stagebook_account")
def test_a_time_without_a_zone_is_utc(stagebook: StagebookServer) -> None:
    at = (stagebook.clock.now + timedelta(hours=1)).replace(microsecond=0)
    assert stagebook.clock.freeze(at.replace(tzinfo=None)) == at


def test_the_log_can_be_read_and_has_no_secret(stagebook: StagebookServer) -> None:
    assert "server started" in stagebook.log
    assert stagebook.account.secret_access_key not in stagebook.log + repr(stagebook.account)
