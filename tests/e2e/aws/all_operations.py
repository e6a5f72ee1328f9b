"""A sequence of calls that covers all 40 operations.

Each operation is called at a point where its response has contents: the lists are not empty. A step is an operation,
its request (built from the responses of earlier steps), and the expected error.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from botocore.exceptions import ClientError

from tests.e2e.aws.output_shapes import RawResponse, record_responses
from tests.e2e.aws.valid_inputs import PUBLIC_KEY, Json
from tests.e2e.aws.websocket_client import joined
from tests.e2e.server import Client, RunningServer

DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.05
ROOT = Path(__file__).parents[3]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call.

    `request` builds the input from the resources of earlier steps, by their names. `keep` is the name under which the
    resource in the response is stored for later steps. `refusal` is the expected error code, or empty for success.
    `until` is the state of the composition that the next step waits for.
    """

    operation: str
    request: Callable[[Mapping[str, Json]], dict[str, Json]] = lambda _resources: {}
    keep: str = ""
    refusal: str = ""
    until: str = ""


def _arn(name: str) -> Callable[[Mapping[str, Json]], dict[str, Json]]:
    return lambda resources: {"arn": resources[name]["arn"]}


def _stage(resources: Mapping[str, Json]) -> dict[str, Json]:
    return {"stageArn": resources["stage"]["arn"]}


def _session(resources: Mapping[str, Json]) -> dict[str, Json]:
    return {**_stage(resources), "sessionId": resources["session"]["sessionId"]}


def _participant(resources: Mapping[str, Json]) -> dict[str, Json]:
    return {**_session(resources), "participantId": resources["token"]["participantId"]}


def _replication(resources: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "sourceStageArn": resources["stage"]["arn"],
        "destinationStageArn": resources["other"]["arn"],
        "participantId": resources["token"]["participantId"],
    }


def _resource(resources: Mapping[str, Json]) -> dict[str, Json]:
    return {"resourceArn": resources["ingest"]["arn"]}


def _composition(resources: Mapping[str, Json]) -> dict[str, Json]:
    s3 = {
        "storageConfigurationArn": resources["storage"]["arn"],
        "encoderConfigurationArns": [resources["encoder"]["arn"]],
    }
    return {**_stage(resources), "destinations": [{"s3": s3}]}


TAGS = {"team": "blue"}
TOKEN = {"duration": 60, "userId": "bob", "attributes": {"role": "host"}, "capabilities": ["PUBLISH", "SUBSCRIBE"]}
RECORDING = {"storageConfigurationArn": "", "mediaTypes": ["AUDIO_ONLY"]}

SETUP_STEPS = (
    Step(
        operation="CreateStage",
        request=lambda _: {"name": "all-operations", "tags": TAGS, "participantTokenConfigurations": [TOKEN, {}]},
        keep="stage",
    ),
    Step(operation="CreateStage", keep="other"),
    Step(operation="CreateParticipantToken", request=lambda resources: {**_stage(resources), **TOKEN}, keep="token"),
)
"""The steps before a participant joins. Afterwards the participant of `token` publishes, and a second one joins."""

STEPS_WITH_PARTICIPANTS = (
    Step(operation="GetStage", request=_arn("stage")),
    Step(operation="ListStages", request=lambda _: {"maxResults": 1}),
    Step(
        operation="UpdateStage",
        request=lambda resources: {**_arn("stage")(resources), "autoParticipantRecordingConfiguration": RECORDING},
    ),
    Step(
        operation="StartParticipantReplication",
        request=lambda resources: {**_replication(resources), "attributes": {"role": "guest"}},
    ),
    Step(
        operation="ListParticipantReplicas",
        request=lambda resources: {
            "sourceStageArn": resources["stage"]["arn"],
            "participantId": resources["token"]["participantId"],
        },
    ),
    Step(operation="StopParticipantReplication", request=_replication),
    Step(operation="ListStageSessions", request=_stage),
    Step(operation="GetStageSession", request=_session),
    Step(operation="ListParticipants", request=_session),
    Step(operation="GetParticipant", request=_participant),
    Step(operation="ListParticipantEvents", request=_participant),
    Step(
        operation="DisconnectParticipant",
        request=lambda resources: {**_stage(resources), "participantId": "neverThere"},
    ),
    Step(operation="RevokeConnectionToken", request=lambda _: {"tokenId": "Mx6clRRHODPy"}),
    Step(
        operation="ImportPublicKey",
        request=lambda _: {"publicKeyMaterial": PUBLIC_KEY, "name": "key", "tags": TAGS},
        keep="key",
    ),
    Step(operation="GetPublicKey", request=_arn("key")),
    Step(operation="ListPublicKeys"),
    Step(
        operation="CreateIngestConfiguration",
        request=lambda resources: {
            **_stage(resources),
            "name": "ingest",
            "ingestProtocol": "RTMP",
            "insecureIngest": True,
            "userId": "encoder",
            "attributes": {"role": "host"},
            "tags": TAGS,
        },
        keep="ingest",
    ),
    Step(
        operation="UpdateIngestConfiguration",
        request=lambda resources: {**_arn("ingest")(resources), "redundantIngest": True},
    ),
    Step(operation="GetIngestConfiguration", request=_arn("ingest")),
    Step(
        operation="ListIngestConfigurations", request=lambda resources: {"filterByStageArn": resources["stage"]["arn"]}
    ),
    Step(operation="CreateEncoderConfiguration", request=lambda _: {"name": "encoder", "tags": TAGS}, keep="encoder"),
    Step(operation="GetEncoderConfiguration", request=_arn("encoder")),
    Step(operation="ListEncoderConfigurations"),
    Step(
        operation="CreateStorageConfiguration",
        request=lambda _: {"name": "storage", "s3": {"bucketName": "amzn-s3-demo-bucket"}, "tags": TAGS},
        keep="storage",
    ),
    Step(operation="GetStorageConfiguration", request=_arn("storage")),
    Step(operation="ListStorageConfigurations"),
    Step(operation="StartComposition", request=_composition, keep="composition", until="ACTIVE"),
    Step(operation="GetComposition", request=_arn("composition")),
    Step(operation="ListCompositions", request=lambda resources: {"filterByStageArn": resources["stage"]["arn"]}),
    Step(operation="StopComposition", request=_arn("composition"), until="STOPPED"),
    Step(operation="TagResource", request=lambda resources: {**_resource(resources), "tags": {"cost": "1"}}),
    Step(operation="UntagResource", request=lambda resources: {**_resource(resources), "tagKeys": ["team"]}),
    Step(operation="ListTagsForResource", request=_resource),
    Step(operation="DeleteStorageConfiguration", request=_arn("storage")),
    Step(operation="DeleteEncoderConfiguration", request=_arn("encoder")),
    Step(operation="DeleteIngestConfiguration", request=_arn("ingest")),
    Step(operation="DeletePublicKey", request=_arn("key")),
    Step(operation="DeleteStage", request=_arn("stage")),
    Step(operation="DeleteStage", request=_arn("other")),
)

STEPS = (*SETUP_STEPS, *STEPS_WITH_PARTICIPANTS)


class OperationSequence:
    """Calls all steps once and keeps the raw response of each, in order."""

    def __init__(self, server: RunningServer) -> None:
        self._ivs, self._observer = server.client(), server.client()
        self._methods = {api: name for name, api in self._ivs.meta.method_to_api_mapping.items()}
        self._resources: dict[str, Json] = {}
        self.responses: list[RawResponse] = record_responses(self._ivs)

    def run(self) -> None:
        """Call all steps. Raises ClientError at the first unexpected error."""
        for step in SETUP_STEPS:
            self._call_step(step)
        with publishing(self._resources["token"]["token"]), joined(self._viewer_token()):
            self._resources["session"] = self._wait_for_publication()
            response_count = len(self.responses)
            for step in STEPS_WITH_PARTICIPANTS:
                self._call_step(step)
        del self.responses[len(SETUP_STEPS) : response_count]  # remove the responses of polling

    def _call_step(self, step: Step) -> None:
        try:
            response = self._call(step.operation, step.request(self._resources))
        except ClientError as error:
            if error.response["Error"]["Code"] != step.refusal:
                raise
        else:
            assert not step.refusal, f"{step.operation} was not refused"
            if step.keep:
                self._resources[step.keep] = next(value for value in response.values() if {"arn", "token"} & set(value))
            if step.until:
                wait_for_composition(self._observer, self._resources["composition"]["arn"], state=step.until)

    def _call(self, operation: str, request: dict[str, Json]) -> Json:
        return getattr(self._ivs, self._methods[operation])(**request)

    def _viewer_token(self) -> str:
        token: str = self._call("CreateParticipantToken", _stage(self._resources))["participantToken"]["token"]
        return token

    def _wait_for_publication(self) -> Json:
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        while True:
            (session,) = self._call("ListStageSessions", _stage(self._resources))["stageSessions"]
            response = self._call("ListParticipantEvents", _participant({**self._resources, "session": session}))
            if any(event["name"] == "PUBLISH_STARTED" for event in response["events"]):
                return session
            assert time.monotonic() < deadline_seconds, response["events"]
            time.sleep(POLL_SECONDS)


def wait_for_composition(ivs: Client, arn: str, *, state: str) -> Json:
    """Wait until a composition has a state; return it."""
    deadline_seconds = time.monotonic() + DEADLINE_SECONDS
    while True:
        composition = ivs.get_composition(arn=arn)["composition"]
        if composition["state"] == state:
            return composition
        assert composition["state"] in {"STARTING", "ACTIVE", "STOPPING"}, composition
        assert time.monotonic() < deadline_seconds, composition
        time.sleep(POLL_SECONDS)


@contextmanager
def publishing(token: str) -> Iterator[None]:
    """Publish with this token, in a separate process, for the duration of the `with` block."""
    command = [sys.executable, "-m", "tests.clients.publisher", token]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "publishing\n"
            yield
        finally:
            process.kill()
