"""AWS's call rates: the server refuses calls above the rate, and boto3 retries them until they succeed."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.server import REGION, Client, RunningServer, run_server

DEADLINE_SECONDS = 60.0
Mode: TypeAlias = Literal["legacy", "standard", "adaptive"]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with AWS's quotas, except that each operation may be called once per second."""
    data: Path = tmp_path_factory.mktemp("strict") / "data"
    with run_server(data, quotas="strict", quota_overrides="calls_per_second=1") as running:
        yield running


def retrying_client(server: RunningServer, mode: Mode) -> Client:
    return boto3.client(
        "ivs-realtime",
        endpoint_url=server.endpoint_url,
        region_name=REGION,
        aws_access_key_id=server.key.access_key_id,
        aws_secret_access_key=server.key.secret_access_key,
        config=Config(retries={"mode": mode, "total_max_attempts": 12}),
    )


def call_until_throttled(ivs: Client) -> ClientError:
    deadline_seconds = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline_seconds:
        try:
            ivs.list_stages()
        except ClientError as error:
            return error
    raise AssertionError("no call was throttled")


def test_a_client_without_retries_gets_a_throttling_exception(strict: RunningServer) -> None:
    response = call_until_throttled(strict.client()).response
    assert response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_boto3_retries_until_the_call_succeeds(strict: RunningServer, mode: Mode) -> None:
    ivs = retrying_client(strict, mode)
    attempts = 0
    deadline_seconds = time.monotonic() + DEADLINE_SECONDS
    while attempts == 0:
        assert time.monotonic() < deadline_seconds, "no call was throttled"
        response = ivs.list_stages()
        assert response["stages"] == []
        attempts = response["ResponseMetadata"]["RetryAttempts"]


def test_operations_with_a_separate_rate_use_that_rate(strict: RunningServer) -> None:
    ivs = strict.client()
    arn = ivs.create_stage()["stage"]["arn"]
    for _ in range(10):
        ivs.list_tags_for_resource(resourceArn=arn)
    for _ in range(50):
        ivs.create_participant_token(stageArn=arn)
