"""A walk over all 40 operations, as an application makes it: each is called at a place where it has something to show.

A step is an operation, its request (made from what earlier steps answered), and the refusal it meets where Stagebook
documents one instead of an answer.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from botocore.exceptions import ClientError

from tests.e2e.aws.broken_rules import COMPOSITION_ARN, PUBLIC_KEY, Json
from tests.e2e.aws.output_shapes import Answer, keep_answers
from tests.e2e.aws.visit import on_stage
from tests.e2e.server import RunningServer

DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.05
ROOT = Path(__file__).parents[3]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `keep` names what the walk learns: the name under which the answer's only resource is kept."""

    operation: str
    request: Callable[[Mapping[str, Json]], dict[str, Json]] = lambda _known: {}
    keep: str = ""
    refusal: str = ""


def _arn(name: str) -> Callable[[Mapping[str, Json]], dict[str, Json]]:
    return lambda known: {"arn": known[name]["arn"]}


def _stage(known: Mapping[str, Json]) -> dict[str, Json]:
    return {"stageArn": known["stage"]["arn"]}


def _session(known: Mapping[str, Json]) -> dict[str, Json]:
    return {**_stage(known), "sessionId": known["session"]["sessionId"]}


def _participant(known: Mapping[str, Json]) -> dict[str, Json]:
    return {**_session(known), "participantId": known["token"]["participantId"]}


def _replication(known: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "sourceStageArn": known["stage"]["arn"],
        "destinationStageArn": known["other"]["arn"],
        "participantId": known["token"]["participantId"],
    }


def _resource(known: Mapping[str, Json]) -> dict[str, Json]:
    return {"resourceArn": known["ingest"]["arn"]}


def _composition(known: Mapping[str, Json]) -> dict[str, Json]:
    s3 = {
        "storageConfigurationArn": known["storage"]["arn"],
        "encoderConfigurationArns": [known["encoder"]["arn"]],
    }
    return {**_stage(known), "destinations": [{"s3": s3}]}


TAGS = {"team": "blue"}
TOKEN = {"duration": 60, "userId": "bob", "attributes": {"role": "host"}, "capabilities": ["PUBLISH", "SUBSCRIBE"]}
RECORDING = {"storageConfigurationArn": "", "mediaTypes": ["AUDIO_ONLY"]}

ARRIVAL = (
    Step(
        operation="CreateStage",
        request=lambda _: {"name": "walk", "tags": TAGS, "participantTokenConfigurations": [TOKEN, {}]},
        keep="stage",
    ),
    Step(operation="CreateStage", keep="other"),
    Step(operation="CreateParticipantToken", request=lambda known: {**_stage(known), **TOKEN}, keep="token"),
)
"""Up to here nobody is on the stage; then the participant of `token` publishes and another one watches the stage."""

STAY = (
    Step(operation="GetStage", request=_arn("stage")),
    Step(operation="ListStages", request=lambda _: {"maxResults": 1}),
    Step(
        operation="UpdateStage",
        request=lambda known: {**_arn("stage")(known), "autoParticipantRecordingConfiguration": RECORDING},
    ),
    Step(
        operation="StartParticipantReplication",
        request=lambda known: {**_replication(known), "attributes": {"role": "guest"}},
    ),
    Step(
        operation="ListParticipantReplicas",
        request=lambda known: {
            "sourceStageArn": known["stage"]["arn"],
            "participantId": known["token"]["participantId"],
        },
    ),
    Step(operation="StopParticipantReplication", request=_replication),
    Step(operation="ListStageSessions", request=_stage),
    Step(operation="GetStageSession", request=_session),
    Step(operation="ListParticipants", request=_session),
    Step(operation="GetParticipant", request=_participant),
    Step(operation="ListParticipantEvents", request=_participant),
    Step(operation="DisconnectParticipant", request=lambda known: {**_stage(known), "participantId": "neverThere"}),
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
        request=lambda known: {
            **_stage(known),
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
        request=lambda known: {**_arn("ingest")(known), "redundantIngest": True},
    ),
    Step(operation="GetIngestConfiguration", request=_arn("ingest")),
    Step(operation="ListIngestConfigurations", request=lambda known: {"filterByStageArn": known["stage"]["arn"]}),
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
    Step(operation="StartComposition", request=_composition, refusal="ValidationException"),
    Step(operation="GetComposition", request=lambda _: {"arn": COMPOSITION_ARN}, refusal="ResourceNotFoundException"),
    Step(operation="ListCompositions", request=lambda known: {"filterByStageArn": known["stage"]["arn"]}),
    Step(operation="StopComposition", request=lambda _: {"arn": COMPOSITION_ARN}, refusal="ResourceNotFoundException"),
    Step(operation="TagResource", request=lambda known: {**_resource(known), "tags": {"cost": "1"}}),
    Step(operation="UntagResource", request=lambda known: {**_resource(known), "tagKeys": ["team"]}),
    Step(operation="ListTagsForResource", request=_resource),
    Step(operation="DeleteStorageConfiguration", request=_arn("storage")),
    Step(operation="DeleteEncoderConfiguration", request=_arn("encoder")),
    Step(operation="DeleteIngestConfiguration", request=_arn("ingest")),
    Step(operation="DeletePublicKey", request=_arn("key")),
    Step(operation="DeleteStage", request=_arn("stage")),
    Step(operation="DeleteStage", request=_arn("other")),
)

STEPS = (*ARRIVAL, *STAY)


class Walk:
    """Walks once and keeps each step's raw answer, in order."""

    def __init__(self, server: RunningServer) -> None:
        self._ivs = server.client()
        self._methods = {api: name for name, api in self._ivs.meta.method_to_api_mapping.items()}
        self._known: dict[str, Json] = {}
        self.answers: list[Answer] = keep_answers(self._ivs)

    def run(self) -> None:
        """Take all steps. Raises ClientError at the first refusal that is not documented."""
        for step in ARRIVAL:
            self._take(step)
        with publishing(self._known["token"]["token"]), on_stage(self._viewer_token()):
            self._known["session"] = self._wait_for_publication()
            walked = len(self.answers)
            for step in STAY:
                self._take(step)
        del self.answers[len(ARRIVAL) : walked]

    def _take(self, step: Step) -> None:
        try:
            answer = self._call(step.operation, step.request(self._known))
        except ClientError as error:
            if error.response["Error"]["Code"] != step.refusal:
                raise
        else:
            assert not step.refusal, f"{step.operation} was not refused"
            if step.keep:
                self._known[step.keep] = next(value for value in answer.values() if {"arn", "token"} & set(value))

    def _call(self, operation: str, request: dict[str, Json]) -> Json:
        return getattr(self._ivs, self._methods[operation])(**request)

    def _viewer_token(self) -> str:
        token: str = self._call("CreateParticipantToken", _stage(self._known))["participantToken"]["token"]
        return token

    def _wait_for_publication(self) -> Json:
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        while True:
            (session,) = self._call("ListStageSessions", _stage(self._known))["stageSessions"]
            answer = self._call("ListParticipantEvents", _participant({**self._known, "session": session}))
            if any(event["name"] == "PUBLISH_STARTED" for event in answer["events"]):
                return session
            assert time.monotonic() < deadline_seconds, answer["events"]
            time.sleep(POLL_SECONDS)


@contextmanager
def publishing(token: str) -> Iterator[None]:
    """Publish with this token in a process of its own until the end of the `with` block."""
    command = [sys.executable, "-m", "tests.clients.publisher", token]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "publishing\n"
            yield
        finally:
            process.kill()
