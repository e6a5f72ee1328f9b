"""Compositions of a running server with its own processes: rules and errors with boto3, a crash, and the end."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.aws.all_operations import wait_for_composition
from tests.e2e.server import Client, RunningServer, run_server, start_server

pytestmark = pytest.mark.recording
CHANNEL_ARN = "arn:aws:ivs:us-west-2:123456789012:channel/abcABCdefDEg"


class Composed:
    """A stage, configurations, and a started composition."""

    def __init__(self, server: RunningServer) -> None:
        self.ivs: Client = server.client()
        self.stage_arn = self.ivs.create_stage()["stage"]["arn"]
        self.encoder_arn = self.ivs.create_encoder_configuration()["encoderConfiguration"]["arn"]
        storage = self.ivs.create_storage_configuration(s3={"bucketName": "bucket"})["storageConfiguration"]
        self.storage_arn = storage["arn"]
        self.s3 = {"storageConfigurationArn": self.storage_arn, "encoderConfigurationArns": [self.encoder_arn]}

    def start(self, **members: Any) -> Any:  # noqa: ANN401 - the members and the answer of StartComposition
        members = {"stageArn": self.stage_arn, "destinations": [{"s3": self.s3}], **members}
        return self.ivs.start_composition(**members)["composition"]

    def refusal(self, operation: str, **members: Any) -> str:  # noqa: ANN401 - the members of an input
        with pytest.raises(ClientError) as refused:
            getattr(self.ivs, operation)(**members)
        code: str = refused.value.response["Error"]["Code"]
        return code


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_server(tmp_path_factory.mktemp("compositions") / "data") as running:
        yield running


def test_a_token_is_idempotent_and_configurations_are_in_use(server: RunningServer) -> None:
    on = Composed(server)
    first = on.start(idempotencyToken="one", tags={"team": "blue"})
    assert on.start(idempotencyToken="one", tags={"team": "blue"})["arn"] == first["arn"]
    again = {"stageArn": on.stage_arn, "destinations": [{"s3": on.s3}], "idempotencyToken": "one"}
    assert on.refusal("start_composition", **again) == "ConflictException"
    assert on.refusal("delete_encoder_configuration", arn=on.encoder_arn) == "ConflictException"
    assert on.refusal("delete_storage_configuration", arn=on.storage_arn) == "ConflictException"
    on.ivs.tag_resource(resourceArn=first["arn"], tags={"more": "tags"})
    assert on.ivs.get_composition(arn=first["arn"])["composition"]["tags"] == {"team": "blue", "more": "tags"}
    (listed,) = on.ivs.list_compositions(filterByStageArn=on.stage_arn)["compositions"]
    assert listed["arn"] == first["arn"]
    wait_for_composition(on.ivs, first["arn"], state="ACTIVE")
    on.ivs.stop_composition(arn=first["arn"])
    wait_for_composition(on.ivs, first["arn"], state="STOPPED")
    on.ivs.stop_composition(arn=first["arn"])
    on.ivs.delete_encoder_configuration(arn=on.encoder_arn)
    on.ivs.delete_storage_configuration(arn=on.storage_arn)


def test_each_refusal_has_its_code(server: RunningServer) -> None:
    on = Composed(server)
    channel = {"channel": {"channelArn": CHANNEL_ARN, "encoderConfigurationArn": on.encoder_arn}}
    s3, unknown = {"s3": on.s3}, on.stage_arn[:-12] + "unknownUNK00"
    for destinations, code in (
        ([{"name": "x"}], "ValidationException"),
        ([{**s3, **channel}], "ValidationException"),
        ([s3, s3], "ValidationException"),
        ([channel], "ResourceNotFoundException"),
        (
            [{"s3": {**on.s3, "storageConfigurationArn": on.storage_arn[:-12] + "unknownUNK00"}}],
            "ResourceNotFoundException",
        ),
        (
            [{"s3": {**on.s3, "storageConfigurationArn": on.storage_arn.replace("west", "east")}}],
            "AccessDeniedException",
        ),
    ):
        assert on.refusal("start_composition", stageArn=on.stage_arn, destinations=destinations) == code
    assert on.refusal("start_composition", stageArn=unknown, destinations=[s3]) == "ResourceNotFoundException"
    both: dict[str, dict[str, str]] = {"grid": {}, "pip": {}}
    given = {"stageArn": on.stage_arn, "destinations": [s3], "layout": both}
    assert on.refusal("start_composition", **given) == "ValidationException"
    missing = on.stage_arn.replace(":stage/", ":composition/")
    assert on.refusal("get_composition", arn=missing) == "ResourceNotFoundException"
    assert on.refusal("stop_composition", arn=missing) == "ResourceNotFoundException"


def test_a_deleted_stage_fails_its_composition(server: RunningServer) -> None:
    on = Composed(server)
    arn = on.start()["arn"]
    wait_for_composition(on.ivs, arn, state="ACTIVE")
    on.ivs.delete_stage(arn=on.stage_arn)
    while on.ivs.get_composition(arn=arn)["composition"]["state"] == "STOPPING":
        pass
    assert on.ivs.get_composition(arn=arn)["composition"]["state"] == "FAILED"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_composition_runs_after_the_server_has_ended(tmp_path: Path, number: signal.Signals) -> None:
    with run_server(tmp_path / "data") as server:
        on = Composed(server)
        arn = on.start()["arn"]
        wait_for_composition(on.ivs, arn, state="ACTIVE")
        if number is signal.SIGKILL:
            server.kill()
        else:
            assert server.stop() == 0
    server = start_server(tmp_path / "data")
    try:
        composition = server.client().get_composition(arn=arn)["composition"]
        assert composition["state"] == ("FAILED" if number is signal.SIGKILL else "STOPPED")
        assert composition["destinations"][0]["state"] == composition["state"]
        assert "endTime" in composition
        # The metadata says the same as the book.
        name = "recording-failed" if number is signal.SIGKILL else "recording-ended"
        bucket = tmp_path / "data" / "recordings" / "bucket"
        while not (found := list(bucket.rglob(f"{name}.json"))):
            time.sleep(0.05)
        status = json.loads(found[0].read_bytes())["recording_status"]
        assert status == ("RECORDING_ENDED_WITH_FAILURE" if number is signal.SIGKILL else "RECORDING_ENDED")
        assert len(list(bucket.rglob("events/*.json"))) == 2
    finally:
        server.stop()
