"""Ingest, encoder and storage configurations with boto3: create, get, list, update, delete, errors, and recovery."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.aws.access_keys import NO_DELETE, ONE_STAGE, OTHER_ACCOUNT, READER
from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import STAGE_ARN
from tests.e2e.server import Client, RunningServer, run_server

OWN = "arn:aws:ivs:us-west-2:123456789012"
UNKNOWN_STAGE_ARN = f"{OWN}:stage/neverThereAtAll"
BUCKET = {"bucketName": "amzn-s3-demo-bucket"}
QUOTAS = "ingest_configurations=2,encoder_configurations=2,storage_configurations=2"


@pytest.fixture(scope="module")
def small_quotas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a quota of two for each kind of configuration."""
    data: Path = tmp_path_factory.mktemp("small_quotas") / "data"
    with run_server(data, quota_overrides=QUOTAS) as running:
        yield running


def test_deleting_a_stage_detaches_its_ingest_configuration(ivs: Client, stage_arn: str) -> None:
    created = ivs.create_ingest_configuration(ingestProtocol="RTMPS", stageArn=stage_arn, redundantIngest=True)
    configuration = created["ingestConfiguration"]
    assert ivs.get_ingest_configuration(arn=configuration["arn"])["ingestConfiguration"] == configuration
    listed = ivs.list_ingest_configurations(filterByStageArn=stage_arn)["ingestConfigurations"]
    assert [row["arn"] for row in listed] == [configuration["arn"]]

    ivs.delete_stage(arn=stage_arn)

    shown = ivs.get_ingest_configuration(arn=configuration["arn"])["ingestConfiguration"]
    assert shown == {**configuration, "stageArn": ""}
    ivs.delete_ingest_configuration(arn=configuration["arn"])
    with refused("ResourceNotFoundException", naming=configuration["arn"]):
        ivs.get_ingest_configuration(arn=configuration["arn"])


def test_create_and_update_return_the_seven_header_members(ivs: Client) -> None:
    created = ivs.create_ingest_configuration(ingestProtocol="RTMPS")
    updated = ivs.update_ingest_configuration(arn=created["ingestConfiguration"]["arn"], stageArn="")
    for response in (created, updated):
        assert response["accessControlAllowOrigin"] == "*"
        assert "x-amzn-requestid" in response["accessControlExposeHeaders"]
        assert response["cacheControl"] == "no-store, no-cache"
        assert response["contentSecurityPolicy"].startswith("default-src")
        assert response["strictTransportSecurity"].startswith("max-age")
        assert (response["xContentTypeOptions"], response["xFrameOptions"]) == ("nosniff", "DENY")


def test_disconnecting_its_participant_detaches_a_configuration_until_it_is_attached_again(
    ivs: Client, stage_arn: str
) -> None:
    created = ivs.create_ingest_configuration(ingestProtocol="RTMPS", stageArn=stage_arn)["ingestConfiguration"]
    for _ in range(2):
        ivs.disconnect_participant(stageArn=stage_arn, participantId=created["participantId"])
        assert ivs.get_ingest_configuration(arn=created["arn"])["ingestConfiguration"]["stageArn"] == ""
    ivs.update_ingest_configuration(arn=created["arn"], stageArn=stage_arn)
    assert ivs.get_ingest_configuration(arn=created["arn"])["ingestConfiguration"] == created


def test_the_boto3_paginator_lists_all_ingest_configurations(ivs: Client, stage_arn: str) -> None:
    created = [
        ivs.create_ingest_configuration(ingestProtocol="RTMPS", stageArn=stage_arn)["ingestConfiguration"]["arn"]
        for _ in range(5)
    ]
    pages = ivs.get_paginator("list_ingest_configurations").paginate(
        filterByStageArn=stage_arn, PaginationConfig={"PageSize": 2}
    )
    assert [row["arn"] for page in pages for row in page["ingestConfigurations"]] == created


def test_a_page_token_of_another_filter_is_refused(ivs: Client, stage_arn: str) -> None:
    for _ in range(2):
        ivs.create_ingest_configuration(ingestProtocol="RTMPS", stageArn=stage_arn)
    token = ivs.list_ingest_configurations(filterByStageArn=stage_arn, maxResults=1)["nextToken"]
    for members in ({}, {"filterByStageArn": STAGE_ARN}, {"filterByState": "INACTIVE"}):
        with refused("ValidationException", naming="nextToken"):
            ivs.list_ingest_configurations(nextToken=token, **members)
    with refused("ValidationException", naming="nextToken"):
        ivs.list_encoder_configurations(nextToken=token)


def test_errors_have_the_codes_of_the_model(ivs: Client) -> None:
    arn = ivs.create_ingest_configuration(ingestProtocol="RTMPS")["ingestConfiguration"]["arn"]
    with refused("ValidationException", naming="insecureIngest"):
        ivs.create_ingest_configuration(ingestProtocol="RTMP")
    with refused("ValidationException", naming="stageArn"):
        ivs.create_ingest_configuration(ingestProtocol="RTMPS", stageArn=UNKNOWN_STAGE_ARN)
    with refused("ResourceNotFoundException", naming=UNKNOWN_STAGE_ARN):
        ivs.update_ingest_configuration(arn=arn, stageArn=UNKNOWN_STAGE_ARN)
    with refused("ValidationException", naming="attributes"):
        ivs.create_ingest_configuration(ingestProtocol="RTMPS", attributes={"key": "v" * 1_022})
    with refused("ValidationException", naming="video.width"):
        ivs.create_encoder_configuration(video={"width": 1_920, "height": 1_920})
    with refused("ValidationException", naming="bucketName"):
        ivs.create_storage_configuration(s3={"bucketName": "A"})
    with refused("ValidationException", naming="autoParticipantRecordingConfiguration.storageConfigurationArn"):
        unknown = f"{OWN}:storage-configuration/000000000000"
        ivs.create_stage(autoParticipantRecordingConfiguration={"storageConfigurationArn": unknown})


@pytest.mark.parametrize("kind", ["ingest", "encoder", "storage"])
def test_other_accounts_and_regions_are_denied(server: RunningServer, kind: str) -> None:
    other_account = server.client(OTHER_ACCOUNT)
    for call in ("get", "delete"):
        with refused("AccessDeniedException"):
            getattr(other_account, f"{call}_{kind}_configuration")(arn=f"{OWN}:{kind}-configuration/abcdABCDefgh")
        with refused("AccessDeniedException"):
            arn = f"arn:aws:ivs:eu-west-1:123456789012:{kind}-configuration/abcdABCDefgh"
            getattr(server.client(), f"{call}_{kind}_configuration")(arn=arn)


def test_policies_apply_to_configurations(server: RunningServer, ivs: Client, stage_arn: str) -> None:
    arn = ivs.create_ingest_configuration(ingestProtocol="RTMPS")["ingestConfiguration"]["arn"]
    reader = server.client(READER)
    assert reader.get_ingest_configuration(arn=arn)["ingestConfiguration"]["arn"] == arn
    with refused("AccessDeniedException", naming="ivs:UpdateIngestConfiguration"):
        reader.update_ingest_configuration(arn=arn, stageArn=stage_arn)
    with refused("AccessDeniedException", naming="ivs:CreateIngestConfiguration"):
        server.client(ONE_STAGE).create_ingest_configuration(ingestProtocol="RTMPS")
    server.client(NO_DELETE).delete_ingest_configuration(arn=arn)


CREATIONS: dict[str, dict[str, Any]] = {
    "create_ingest_configuration": {"ingestProtocol": "RTMPS"},
    "create_encoder_configuration": {},
    "create_storage_configuration": {"s3": BUCKET},
}


@pytest.mark.parametrize("creation", CREATIONS)
def test_concurrent_creations_do_not_exceed_the_quota(small_quotas: RunningServer, creation: str) -> None:
    clients = [small_quotas.client() for _ in range(6)]

    def create(client: Client) -> str:
        try:
            getattr(client, creation)(**CREATIONS[creation])
        except ClientError as error:
            return f"{error.response['Error']['Code']} {error.response['ResponseMetadata']['HTTPStatusCode']}"
        return "created"

    with ThreadPoolExecutor(len(clients)) as pool:
        outcomes = sorted(pool.map(create, clients))
    assert outcomes == ["ServiceQuotaExceededException 402"] * 4 + ["created"] * 2


def test_configurations_survive_a_crash(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as server:
        ivs = server.client()
        stage_arn = ivs.create_stage()["stage"]["arn"]
        created = ivs.create_ingest_configuration(
            ingestProtocol="RTMPS", stageArn=stage_arn, redundantIngest=True, attributes={"role": "host"}
        )["ingestConfiguration"]
        encoder = ivs.create_encoder_configuration(video={"framerate": 29.97})["encoderConfiguration"]
        storage = ivs.create_storage_configuration(s3=BUCKET, tags={"team": "blue"})["storageConfiguration"]
        ivs.tag_resource(resourceArn=encoder["arn"], tags={"team": "red"})
        gone = ivs.create_storage_configuration(s3=BUCKET)["storageConfiguration"]["arn"]
        ivs.delete_storage_configuration(arn=gone)
        server.kill()
    with run_server(tmp_path / "data") as server:
        ivs = server.client()
        assert ivs.get_ingest_configuration(arn=created["arn"])["ingestConfiguration"] == created
        shown = ivs.get_encoder_configuration(arn=encoder["arn"])["encoderConfiguration"]
        assert shown == {**encoder, "tags": {"team": "red"}}
        assert ivs.list_storage_configurations()["storageConfigurations"] == [storage]
        ivs.delete_stage(arn=stage_arn)
        assert ivs.get_ingest_configuration(arn=created["arn"])["ingestConfiguration"]["stageArn"] == ""
