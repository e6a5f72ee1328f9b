"""Compositions without media through the test tools: each failure, reconnecting, and the states of boto3."""

from typing import Any, TypeAlias

import httpx
import pytest

from stagebook.stage.composition.composition_events import CompositionEventName
from stagebook.testing import (
    COMPOSITION_EVENTS,
    DESTINATION_ERRORS,
    CallRefusedError,
    StagebookServer,
    StageComposition,
)

Client: TypeAlias = Any
DestinationCode: TypeAlias = Any
SessionCode: TypeAlias = Any


def start(stagebook: StagebookServer, ivs: Client) -> StageComposition:
    """Start a composition of a new stage to a bucket, then to a channel."""
    stage_arn = ivs.create_stage(name="show")["stage"]["arn"]
    storage = ivs.create_storage_configuration(s3={"bucketName": "shows"})["storageConfiguration"]["arn"]
    encoder = ivs.create_encoder_configuration()["encoderConfiguration"]["arn"]
    bucket = {"storageConfigurationArn": storage, "encoderConfigurationArns": [encoder]}
    channel_arn = stage_arn.rpartition(":stage/")[0] + ":channel/abcdABCDefgh"
    channel = {"channelArn": channel_arn, "encoderConfigurationArn": encoder}
    started = ivs.start_composition(stageArn=stage_arn, destinations=[{"s3": bucket}, {"channel": channel}])
    return stagebook.composition(started["composition"]["arn"])


def states(ivs: Client, composition: StageComposition) -> tuple[str, list[str]]:
    shown = ivs.get_composition(arn=composition.arn)["composition"]
    return shown["state"], [each["state"] for each in shown["destinations"]]


def metric(stagebook: StagebookServer, line: str) -> float:
    """Return the value of a metric of the server."""
    lines = httpx.get(f"{stagebook.url}/metrics").text.splitlines()
    return sum(float(each.rpartition(" ")[2]) for each in lines if each.startswith(f"{line} "))


def test_compositions_without_media_are_in_the_metrics(stagebook: StagebookServer, ivs: Client) -> None:
    names = (
        "stagebook_compositions",
        'stagebook_composition_failed_destinations_total{error_code="AccessDeniedException"}',
        "stagebook_composition_reconnects_total",
    )
    before = [metric(stagebook, name) for name in names]
    composition = start(stagebook, ivs)
    assert metric(stagebook, names[0]) == before[0] + 1
    composition.reconnect_destination()
    composition.fail_destination("AccessDeniedException")
    assert [metric(stagebook, name) for name in names[1:]] == [before[1] + 1, before[2] + 1]
    ivs.stop_composition(arn=composition.arn)
    assert metric(stagebook, names[0]) == before[0]


def test_the_names_are_those_of_the_server() -> None:
    assert tuple(name.value for name in CompositionEventName) == COMPOSITION_EVENTS


@pytest.mark.parametrize("code", DESTINATION_ERRORS)
def test_each_failure_of_a_destination_is_one_line(
    stagebook: StagebookServer, ivs: Client, code: DestinationCode
) -> None:
    composition = start(stagebook, ivs)
    (failed,) = composition.fail_destination(code)
    assert (failed.name, failed.error_code) == ("COMPOSITION_DESTINATION_FAILED", code)
    is_channel = code == "ConflictException"
    assert states(ivs, composition) == ("ACTIVE", ["ACTIVE", "FAILED"] if is_channel else ["FAILED", "ACTIVE"])
    ivs.stop_composition(arn=composition.arn)


def test_a_channel_reconnects_and_comes_back(stagebook: StagebookServer, ivs: Client) -> None:
    composition = start(stagebook, ivs)
    assert [event.name for event in composition.reconnect_destination()] == ["COMPOSITION_DESTINATION_RECONNECTING"]
    assert states(ivs, composition) == ("ACTIVE", ["ACTIVE", "RECONNECTING"])
    assert [event.name for event in composition.recover_destination()] == ["COMPOSITION_DESTINATION_STARTED"]
    assert states(ivs, composition) == ("ACTIVE", ["ACTIVE", "ACTIVE"])
    with pytest.raises(CallRefusedError, match="reconnecting"):
        composition.recover_destination()
    ivs.stop_composition(arn=composition.arn)


@pytest.mark.parametrize("code", ["InternalServerException", "DestinationFailure"])
def test_a_composition_fails_as_a_whole(stagebook: StagebookServer, ivs: Client, code: SessionCode) -> None:
    composition = start(stagebook, ivs)
    events = composition.fail(code)
    assert [event.name for event in events] == [*["COMPOSITION_DESTINATION_FAILED"] * 2, "COMPOSITION_FAILED"]
    assert events[-1].error_code == code
    assert states(ivs, composition) == ("FAILED", ["FAILED", "FAILED"])
    with pytest.raises(CallRefusedError, match="has ended"):
        composition.fail(code)


def test_what_cannot_happen_is_refused(stagebook: StagebookServer, ivs: Client) -> None:
    composition = start(stagebook, ivs)
    bucket, channel = (each["id"] for each in ivs.get_composition(arn=composition.arn)["composition"]["destinations"])
    with pytest.raises(CallRefusedError, match="error codes of their own"):
        composition.fail_destination("ConflictException", bucket)
    with pytest.raises(CallRefusedError, match="error codes of their own"):
        composition.fail_destination("AccessDeniedException", channel)
    with pytest.raises(CallRefusedError, match="DeleteStage"):
        composition.fail("StageDeleted")
    with pytest.raises(CallRefusedError) as unknown:
        composition.reconnect_destination("nobody")
    assert unknown.value.status == 404
    with pytest.raises(CallRefusedError) as unknown:
        stagebook.composition(composition.arn[:-4] + "none").fail("InternalServerException")
    assert unknown.value.status == 404
    assert states(ivs, composition) == ("ACTIVE", ["ACTIVE", "ACTIVE"])
    ivs.stop_composition(arn=composition.arn)
