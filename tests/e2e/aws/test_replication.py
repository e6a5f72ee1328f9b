"""Replication with boto3 and with the documented commands of the AWS CLI; the publisher sends real media."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stagebook.book.changes import OpenSession, PutParticipant, PutReplica, PutStage
from stagebook.data_folder.secrets import DataFolder
from stagebook.manager.tokens.jwt_authority import JwtAuthority
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.claims import Claims
from stagebook.stage.resources import Capability, ParticipantRecord, Replica, ReplicationState, Stage
from tests.e2e.aws.access_keys import NO_RIGHTS, ONE_STAGE, OTHER_ACCOUNT
from tests.e2e.aws.all_operations import publishing
from tests.e2e.aws.aws_cli import Example, documented, run
from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import (
    ACCOUNT_ID,
    JOINED_AT,
    PARTICIPANT_ID,
    SESSION_ID,
    STAGE_ARN,
    in_ms,
    write_book,
)
from tests.e2e.aws.websocket_client import TIMEOUT_SECONDS, joined
from tests.e2e.server import REGION, Client, RunningServer, run_server

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/000000000000"
HEADERS = {
    "accessControlAllowOrigin",
    "accessControlExposeHeaders",
    "cacheControl",
    "contentSecurityPolicy",
    "strictTransportSecurity",
    "xContentTypeOptions",
    "xFrameOptions",
}


@contextmanager
def published(ivs: Client, stage_arn: str) -> Iterator[str]:
    """Publish to the stage for the duration of the `with` block; yield the participant id."""
    token = ivs.create_participant_token(stageArn=stage_arn)["participantToken"]
    # The websocket makes the participant join before it publishes, so that a session exists and can be read.
    with joined(token["token"]), publishing(token["token"]):
        wait_for_publication(ivs, stage_arn)
        yield token["participantId"]


def wait_for_publication(ivs: Client, stage_arn: str) -> None:
    """Wait until the server has seen that a participant publishes. The publisher is connected a little earlier."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    session_id: str = ivs.get_stage(arn=stage_arn)["stage"]["activeSessionId"]
    while not ivs.list_participants(stageArn=stage_arn, sessionId=session_id, filterByPublished=True)["participants"]:
        assert time.monotonic() < deadline, "nobody publishes"
        time.sleep(0.02)


def new_stage(ivs: Client) -> str:
    arn: str = ivs.create_stage()["stage"]["arn"]
    return arn


def assert_seven_headers(response: dict[str, Any]) -> None:
    assert response.keys() == {*HEADERS, "ResponseMetadata"}
    assert response["accessControlAllowOrigin"] == "*"
    assert response["cacheControl"] == "no-store, no-cache"
    assert response["contentSecurityPolicy"] == "default-src 'self'; upgrade-insecure-requests;"
    assert response["strictTransportSecurity"] == "max-age:47304000; includeSubDomains"
    assert (response["xContentTypeOptions"], response["xFrameOptions"]) == ("nosniff", "DENY")
    assert response["ResponseMetadata"]["HTTPHeaders"]["content-length"] == "0"


def test_a_publisher_is_replicated_listed_and_stopped(ivs: Client, stage_arn: str) -> None:
    other_arn = new_stage(ivs)
    with published(ivs, stage_arn) as participant_id:
        names = {"sourceStageArn": stage_arn, "participantId": participant_id}
        started = ivs.start_participant_replication(
            **names, destinationStageArn=other_arn, reconnectWindowSeconds=300, attributes={"role": "guest"}
        )
        assert_seven_headers(started)
        destination = {"stageArn": other_arn, "sessionId": ivs.get_stage(arn=other_arn)["stage"]["activeSessionId"]}
        row = {
            **names,
            "sourceSessionId": ivs.get_stage(arn=stage_arn)["stage"]["activeSessionId"],
            "destinationStageArn": other_arn,
            "destinationSessionId": destination["sessionId"],
        }
        paginator = ivs.get_paginator("list_participant_replicas")
        assert paginator.paginate(**names).build_full_result()["replicas"] == [{**row, "replicationState": "ACTIVE"}]
        (replica,) = ivs.list_participants(**destination)["participants"]
        assert (replica["participantId"], replica["replicationType"]) == (participant_id, "REPLICA")
        participant = ivs.get_participant(**destination, participantId=participant_id)["participant"]
        assert participant["attributes"] == {"role": "guest"}
        stopped = ivs.stop_participant_replication(**names, destinationStageArn=other_arn)
        assert_seven_headers(stopped)
        assert ivs.list_participant_replicas(**names)["replicas"] == [{**row, "replicationState": "STOPPED"}]


def test_start_raises_the_errors_of_the_model(server: RunningServer, ivs: Client, stage_arn: str) -> None:
    other_arn = new_stage(ivs)
    viewer = ivs.create_participant_token(stageArn=stage_arn)["participantToken"]
    with published(ivs, stage_arn) as participant_id, joined(viewer["token"]):
        request = {"sourceStageArn": stage_arn, "destinationStageArn": other_arn, "participantId": participant_id}
        start = ivs.start_participant_replication
        with refused("ValidationException", naming="destinationStageArn"):
            start(**{**request, "destinationStageArn": stage_arn})
        with refused("ValidationException", naming="attributes"):
            start(**request, attributes={"role": "x" * 1_021})
        with refused("ValidationException", naming="reconnectWindowSeconds"):
            start(**request, reconnectWindowSeconds=301)
        for member in ("sourceStageArn", "destinationStageArn"):
            with refused("ResourceNotFoundException", naming=UNKNOWN_ARN):
                start(**{**request, member: UNKNOWN_ARN})
        with refused("ResourceNotFoundException", naming="nobodyHere"):
            start(**{**request, "participantId": "nobodyHere"})
        with refused("ConflictException", naming="not publishing"):
            start(**{**request, "participantId": viewer["participantId"]})
        with refused("AccessDeniedException", naming="StartParticipantReplication"):
            server.client(NO_RIGHTS).start_participant_replication(**request)
        start(**request)
        with refused("ConflictException", naming="already"):
            start(**request)


def test_stop_raises_the_errors_of_the_model(server: RunningServer, ivs: Client, stage_arn: str) -> None:
    request = {"sourceStageArn": stage_arn, "destinationStageArn": new_stage(ivs), "participantId": "nobodyHere"}
    with refused("ResourceNotFoundException", naming="nobodyHere"):
        ivs.stop_participant_replication(**request)
    for member in ("sourceStageArn", "destinationStageArn"):
        with refused("ResourceNotFoundException", naming=UNKNOWN_ARN):
            ivs.stop_participant_replication(**{**request, member: UNKNOWN_ARN})
    with refused("ValidationException", naming="participantId"):
        ivs.stop_participant_replication(**{**request, "participantId": "!"})
    with refused("AccessDeniedException", naming="StopParticipantReplication"):
        server.client(NO_RIGHTS).stop_participant_replication(**request)


def test_list_raises_the_errors_of_the_model(server: RunningServer, ivs: Client, stage_arn: str) -> None:
    names = {"sourceStageArn": stage_arn, "participantId": "nobodyHere"}
    assert ivs.list_participant_replicas(**names)["replicas"] == []
    with refused("ValidationException", naming="nextToken"):
        ivs.list_participant_replicas(**names, nextToken="AAAA")
    with refused("AccessDeniedException", naming="ListParticipantReplicas"):
        server.client(NO_RIGHTS).list_participant_replicas(**names)


def test_the_policy_must_allow_both_stages_and_both_must_be_in_one_account(
    server: RunningServer, ivs: Client, stage_arn: str
) -> None:
    both_directions = ((STAGE_ARN, stage_arn), (stage_arn, STAGE_ARN))
    for source_arn, destination_arn in both_directions:
        names = {"sourceStageArn": source_arn, "destinationStageArn": destination_arn, "participantId": "somebody"}
        for key in (ONE_STAGE, OTHER_ACCOUNT):
            for call in ("start_participant_replication", "stop_participant_replication"):
                with refused("AccessDeniedException"):
                    getattr(server.client(key), call)(**names)
    other_account_arn = stage_arn.replace(ACCOUNT_ID, "210987654321")
    with refused("AccessDeniedException", naming=other_account_arn):
        ivs.start_participant_replication(
            sourceStageArn=stage_arn, destinationStageArn=other_account_arn, participantId="somebody"
        )


def test_replications_above_the_quota_are_refused(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", quota_overrides="replications_per_participant=1") as server:
        ivs = server.client()
        stage_arn = new_stage(ivs)
        with published(ivs, stage_arn) as participant_id:
            names = {"sourceStageArn": stage_arn, "participantId": participant_id}
            ivs.start_participant_replication(**names, destinationStageArn=new_stage(ivs))
            with refused("ServiceQuotaExceededException", naming="replications"):
                ivs.start_participant_replication(**names, destinationStageArn=new_stage(ivs))


def only(page: str) -> Example:
    """Return the example of a page that has exactly one."""
    (example,) = documented(page)
    return example


def in_one_account(example: Example) -> Example:
    """Return the example with the destination stage in the account of the source stage.

    The two account ids on the reference page differ.
    """
    return msgspec.structs.replace(
        example,
        words=tuple(re.sub(r"ivs:us-west-2:\d+:", f"ivs:us-west-2:{ACCOUNT_ID}:", word) for word in example.words),
    )


def destination_arn(example: Example) -> str:
    return example.words[example.words.index("--destination-stage-arn") + 1]


def stage(arn: str) -> PutStage:
    account_id = arn.split(":")[4]
    return PutStage(stage=Stage(arn=arn, account_id=account_id, name="documented", created_ms=in_ms(JOINED_AT)))


def token_for(server: RunningServer) -> str:
    """Return a token of the documented participant, signed with the server's own key."""
    url = server.endpoint_url
    endpoints = Endpoints(events=url.replace("http", "ws") + "/events", whip=url + "/whip", rtmp="", rtmps="")
    authority = JwtAuthority(private_key_pem=DataFolder(server.data).token_signing_key(), endpoints=endpoints)
    claims = Claims(
        participant_id=PARTICIPANT_ID,
        stage_arn=STAGE_ARN,
        capabilities=frozenset(Capability),
        expires_at_seconds=4_000_000_000,
    )
    return authority.mint(claims)


@pytest.mark.slow
def test_the_documented_commands_start_and_stop_a_replication(tmp_path: Path) -> None:
    start, stop = only("start-participant-replication"), only("stop-participant-replication")
    assert STAGE_ARN in start.words
    write_book(tmp_path / "data", stage(STAGE_ARN), stage(destination_arn(in_one_account(start))))
    with run_server(tmp_path / "data") as server, joined(token_for(server)), publishing(token_for(server)):
        wait_for_publication(server.client(), STAGE_ARN)
        for example in (start, stop):
            unchanged = run(server, example, region=REGION)
            assert "AccessDeniedException" in unchanged.stderr
            assert destination_arn(example) in unchanged.stderr
            printed = run(server, in_one_account(example), region=REGION).json
            assert {name: value for name, value in printed.items() if name != "accessControlExposeHeaders"} == {
                "accessControlAllowOrigin": "*",
                "cacheControl": "no-store, no-cache",
                "contentSecurityPolicy": "default-src 'self'; upgrade-insecure-requests;",
                "strictTransportSecurity": "max-age:47304000; includeSubDomains",
                "xContentTypeOptions": "nosniff",
                "xFrameOptions": "DENY",
            }
            assert printed.keys() == HEADERS


def test_the_documented_command_lists_replicas(tmp_path: Path) -> None:
    example = only("list-participant-replicas")
    (row,) = example.output["replicas"]
    destination = {"stage_arn": row["destinationStageArn"], "session_id": row["destinationSessionId"]}
    source = {"stage_arn": STAGE_ARN, "session_id": SESSION_ID}
    replica = Replica(
        source_stage_arn=STAGE_ARN,
        source_session_id=SESSION_ID,
        participant_id=PARTICIPANT_ID,
        destination_stage_arn=destination["stage_arn"],
        destination_session_id=destination["session_id"],
        state=ReplicationState.ACTIVE,
    )
    write_book(
        tmp_path / "data",
        *(stage(each["stage_arn"]) for each in (source, destination)),
        *(OpenSession(**each, start_ms=in_ms(JOINED_AT)) for each in (source, destination)),
        PutParticipant(**source, participant=ParticipantRecord(participant_id=PARTICIPANT_ID)),
        PutReplica(replica=replica),
    )
    with run_server(tmp_path / "data") as server:
        printed = run(server, example, region=REGION).json
    # The start of the server has ended the replication, since its publisher is not connected.
    assert printed == {"replicas": [{**row, "replicationState": "STOPPED"}]}
