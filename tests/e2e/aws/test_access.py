"""Access control of the AWS API: signatures, policies, accounts and regions."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.e2e.aws.access_keys import NO_DELETE, NO_RIGHTS, ONE_STAGE, OTHER_ACCOUNT, OTHER_ACCOUNT_ID, READER
from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import ACCOUNT_ID, REQUEST, STAGE_ARN
from tests.e2e.aws.raw_requests import JSON, assert_refused, send, signed_headers
from tests.e2e.server import Client, Key, RunningServer


def test_a_read_only_policy_denies_every_change(server: RunningServer) -> None:
    reader = server.client(READER)
    assert len(reader.list_participant_events(**REQUEST)["events"]) == 4
    assert reader.get_stage(arn=STAGE_ARN)["stage"]["arn"] == STAGE_ARN
    assert reader.list_tags_for_resource(resourceArn=STAGE_ARN)["tags"] is not None
    for call, members in (
        (reader.create_stage, {}),
        (reader.update_stage, {"arn": STAGE_ARN, "name": "mine"}),
        (reader.delete_stage, {"arn": STAGE_ARN}),
        (reader.create_participant_token, {"stageArn": STAGE_ARN}),
        (reader.disconnect_participant, {"stageArn": STAGE_ARN, "participantId": "abCDEf12GHIj"}),
        (reader.tag_resource, {"resourceArn": STAGE_ARN, "tags": {"a": "b"}}),
        (reader.untag_resource, {"resourceArn": STAGE_ARN, "tagKeys": ["a"]}),
    ):
        with refused("AccessDeniedException", naming="is not authorized to perform: ivs:"):
            call(**members)


def test_a_denial_names_the_user_the_action_and_the_resource(server: RunningServer) -> None:
    with refused(
        "AccessDeniedException",
        naming=f"arn:aws:iam::{ACCOUNT_ID}:user/reader is not authorized to perform: ivs:DeleteStage"
        f" on resource: {STAGE_ARN}",
    ):
        server.client(READER).delete_stage(arn=STAGE_ARN)


def test_a_policy_for_one_stage_denies_other_stages(server: RunningServer, stage_arn: str) -> None:
    client = server.client(ONE_STAGE)
    assert len(client.list_participant_events(**REQUEST)["events"]) == 4
    with refused("AccessDeniedException", naming=stage_arn):
        client.list_participant_events(**{**REQUEST, "stageArn": stage_arn})
    with refused("AccessDeniedException"):
        client.list_stages()


def test_deny_overrides_allow(server: RunningServer, stage_arn: str) -> None:
    client = server.client(NO_DELETE)
    assert client.update_stage(arn=stage_arn, name="kept")["stage"]["name"] == "kept"
    with refused("AccessDeniedException", naming="ivs:DeleteStage"):
        client.delete_stage(arn=stage_arn)


def test_a_policy_without_statements_denies_everything(server: RunningServer) -> None:
    client = server.client(NO_RIGHTS)
    with refused("AccessDeniedException", naming="ivs:ListStages"):
        client.list_stages()
    with refused("AccessDeniedException", naming="ivs:ListParticipantEvents"):
        client.list_participant_events(**REQUEST)


def test_a_stage_of_another_account_is_inaccessible(server: RunningServer, ivs: Client) -> None:
    other = server.client(OTHER_ACCOUNT)
    own_arn = other.create_stage(name="theirs")["stage"]["arn"]
    assert f":{OTHER_ACCOUNT_ID}:" in own_arn
    assert own_arn in [stage["arn"] for stage in other.list_stages()["stages"]]
    assert own_arn not in [stage["arn"] for stage in ivs.list_stages(maxResults=100)["stages"]]
    with refused("AccessDeniedException", naming=STAGE_ARN):
        other.list_participant_events(**REQUEST)
    with refused("AccessDeniedException", naming=own_arn):
        ivs.get_stage(arn=own_arn)


def test_an_arn_of_another_region_is_refused(ivs: Client) -> None:
    other_region_arn = STAGE_ARN.replace("us-west-2", "eu-central-1")
    with refused("AccessDeniedException", naming=other_region_arn):
        ivs.list_participant_events(**{**REQUEST, "stageArn": other_region_arn})


def test_a_signature_for_another_region_is_refused(server: RunningServer) -> None:
    with refused("InvalidSignatureException"):
        server.client(region="eu-central-1").list_stages()


def test_a_wrong_secret_is_refused(server: RunningServer) -> None:
    forged = Key(access_key_id=server.key.access_key_id, secret_access_key="the wrong secret of the server")
    with refused("InvalidSignatureException", naming="The request signature we calculated does not match"):
        server.client(forged).list_stages()


def test_an_unknown_key_is_refused(server: RunningServer) -> None:
    unknown = Key(access_key_id="AKIAUNKNOWN000000001", secret_access_key=server.key.secret_access_key)
    with refused("UnrecognizedClientException"):
        server.client(unknown).list_stages()


@pytest.mark.parametrize(("minutes", "word"), [(-20, "expired"), (20, "not yet current")])
def test_a_signature_time_twenty_minutes_off_is_refused(server: RunningServer, minutes: int, word: str) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    response = send(server, "/ListStages", b"{}", at=at)
    assert_refused(response, status=403, code="InvalidSignatureException", naming=word)


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_signature_time_four_minutes_off_is_accepted(server: RunningServer, minutes: int) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    assert send(server, "/ListStages", b"{}", at=at).status_code == 200


def test_an_unsigned_request_is_refused(server: RunningServer) -> None:
    response = httpx.post(f"{server.endpoint_url}/ListStages", content=b"{}", headers=JSON)
    assert_refused(response, status=403, code="MissingAuthenticationTokenException")


def test_a_body_that_differs_from_the_signed_one_is_refused(server: RunningServer) -> None:
    url = f"{server.endpoint_url}/ListStages"
    headers = signed_headers("POST", url, b"{}", key=server.key)
    response = httpx.post(url, content=b'{"maxResults":1}', headers=headers)
    assert_refused(response, status=403, code="InvalidSignatureException")


def test_no_secret_is_in_the_log(server: RunningServer) -> None:
    assert server.key.secret_access_key not in server.log
    assert READER.secret_access_key not in server.log
