"""The compositions of a run: two are started once, on stages without participants, and what the API says is kept.

1. One with a grid is started, a second time with the same idempotency token, and with other parameters.
2. One with a picture in picture is started on another stage. Lists, filters and pages are read.
3. Deletions of the configurations of the first one are refused.
4. The first one is stopped twice, then the second one. The configurations are deleted.
5. If the server is Stagebook with `--testing`, its clock is advanced by five minutes.

A bucket of the name that the suite uses need not exist: a destination is then FAILED.
"""

import json
import time
from collections.abc import Callable, Mapping

import msgspec

from stagebook.conformance.check_outcomes import CheckFailedError, CheckSkippedError
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.request_writer import CONTENT_TYPE, HttpRequest
from stagebook.conformance.wire.wire_answer import Json, WireAnswer

START_SECONDS = 40.0
END_SECONDS = 150.0
POLL_SECONDS = 0.2
KEPT_SECONDS = 301
"""User guide, "Composition Life Cycle": a composition is shown for five minutes after its end."""
TAGS = {"team": "blue"}
FINAL_STATES = ("STOPPED", "FAILED")
ENCODER, STORAGE = "CreateEncoderConfiguration", "CreateStorageConfiguration"
BUCKET = {"bucketName": "amzn-s3-demo-bucket"}


class CompositionScene(msgspec.Struct, frozen=True, kw_only=True):
    """The answers by the names that the script gives them, and the ARNs that they are about."""

    answers: Mapping[str, WireAnswer]
    stage_arn: str
    encoder_arn: str
    storage_arn: str

    @property
    def arn(self) -> str:
        """The first composition."""
        return str(self.document("start")["composition"]["arn"])

    def answer(self, name: str) -> WireAnswer:
        """Return an answer. Raises CheckSkippedError for a call that could not be tried."""
        if name not in self.answers:
            raise CheckSkippedError(f"{name}: the server has no clock that can be moved")
        answer = self.answers[name]
        if answer.error_code == "ServiceQuotaExceededException":
            raise CheckSkippedError("the account has reached its quota of compositions")
        return answer

    def document(self, name: str) -> Json:
        """Return the output of a call. Raises CheckFailedError if it was refused."""
        answer = self.answer(name)
        if answer.status != 200:
            raise CheckFailedError(expected=f"{answer.operation} to succeed with 200", got=answer.summary)
        return answer.json() if answer.body else {}


class CompositionOutcome:
    """The compositions of a run, started when the first check needs them. A failure skips all other checks."""

    def __init__(self, scene: CompositionScene | None = None) -> None:
        self._scene = scene
        self._failure = ""

    def of(self, service: ServiceUnderTest) -> CompositionScene:
        """Return the scene. Raises CheckFailedError the first time that it cannot be made, then CheckSkippedError."""
        if self._failure:
            raise CheckSkippedError(f"no composition could be started: {self._failure}")
        if self._scene is None:
            try:
                self._scene = _CompositionScript(service).play()
            except (CheckFailedError, CheckSkippedError) as error:
                self._failure = str(error)
                raise
        return self._scene


def compositions_of(service: ServiceUnderTest) -> CompositionScene:
    """Return the compositions of a run, as `CompositionOutcome.of`."""
    return service.once("compositions", CompositionOutcome).of(service)


def wait_until_ended(service: ServiceUnderTest, arn: str) -> None:
    """Wait until a composition has ended, for END_SECONDS at most."""
    deadline_seconds = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline_seconds:
        answer = service.call("GetComposition", arn=arn)
        if answer.status != 200 or answer.json()["composition"]["state"] in FINAL_STATES:
            return
        time.sleep(POLL_SECONDS)


class _CompositionScript:
    def __init__(self, service: ServiceUnderTest) -> None:
        self._service = service
        self._answers: dict[str, WireAnswer] = {}

    def play(self) -> CompositionScene:
        make = self._service.make
        stage, other = (make("CreateStage")["arn"] for _ in range(2))
        encoder, storage = make(ENCODER)["arn"], make(STORAGE, s3=BUCKET)["arn"]
        destinations = [{"s3": {"storageConfigurationArn": storage, "encoderConfigurationArns": [encoder]}}]
        members = {
            "stageArn": stage,
            "destinations": destinations,
            "tags": TAGS,
            "idempotencyToken": self._service.name(),
        }
        self._start(members)
        second = {"stageArn": other, "destinations": destinations, "layout": {"pip": {}}}
        self._keep("start pip", "StartComposition", **second)
        self._read(stage, other, encoder)
        self._keep("delete encoder", "DeleteEncoderConfiguration", arn=encoder)
        self._keep("delete storage", "DeleteStorageConfiguration", arn=storage)
        self._wait_for(
            "active", lambda composition: composition["destinations"][0]["state"] != "STARTING", START_SECONDS
        )
        self._stop()
        self._keep("delete encoder later", "DeleteEncoderConfiguration", arn=encoder)
        self._keep("delete storage later", "DeleteStorageConfiguration", arn=storage)
        self._pass_time(stage)
        return CompositionScene(answers=self._answers, stage_arn=stage, encoder_arn=encoder, storage_arn=storage)

    def _start(self, members: Mapping[str, Json]) -> None:
        started = self._service.make_call("StartComposition", **members)
        if started.status != 200:
            raise CheckFailedError(expected="StartComposition to succeed with 200", got=started.summary)
        self._answers["start"] = started
        self._arn = str(started.json()["composition"]["arn"])
        self._keep("start again", "StartComposition", **members)
        self._keep("start otherwise", "StartComposition", **{**members, "layout": {"grid": {"gridGap": 8}}})

    def _read(self, stage: str, other: str, encoder: str) -> None:
        listed = "ListCompositions"
        self._keep("get", "GetComposition", arn=self._arn)
        self._keep("list", listed)
        self._keep("list of stage", listed, filterByStageArn=stage)
        self._keep("list of other stage", listed, filterByStageArn=other)
        self._keep("list of encoder", listed, filterByEncoderConfigurationArn=encoder)
        first = self._keep("first page", listed, filterByEncoderConfigurationArn=encoder, maxResults=1)
        token = first.json().get("nextToken", "") if first.is_success and first.body else ""
        members: dict[str, Json] = {"filterByEncoderConfigurationArn": encoder, "nextToken": token}
        self._keep("second page", listed, **members)
        self._keep("page of another query", listed, nextToken=token)

    def _stop(self) -> None:
        self._keep("stop", "StopComposition", arn=self._arn)
        self._keep("stopping", "GetComposition", arn=self._arn)
        self._keep("stop again", "StopComposition", arn=self._arn)
        second = self._answers["start pip"]
        self._wait_for("ended", lambda composition: composition["state"] in FINAL_STATES, END_SECONDS)
        if second.is_success:
            arn = str(second.json()["composition"]["arn"])
            self._service.call("StopComposition", arn=arn)
            wait_until_ended(self._service, arn)

    def _pass_time(self, stage: str) -> None:
        """Let five minutes pass on a server whose clock can be moved."""
        advance = HttpRequest(
            operation="StopComposition",
            method="POST",
            path="/testing/v1/clock/advance",
            body=json.dumps({"seconds": KEPT_SECONDS}).encode(),
            headers=CONTENT_TYPE,
        )
        if self._service.client.send(advance).status != 200:
            return
        self._keep("get later", "GetComposition", arn=self._arn)
        self._keep("list later", "ListCompositions", filterByStageArn=stage)

    def _wait_for(self, name: str, is_there: Callable[[Json], bool], seconds: float) -> None:
        """Keep the first GetComposition that has something, or the last one."""
        deadline_seconds = time.monotonic() + seconds
        while True:
            answer = self._keep(name, "GetComposition", arn=self._arn)
            if answer.status != 200 or is_there(answer.json()["composition"]) or time.monotonic() > deadline_seconds:
                return
            time.sleep(POLL_SECONDS)

    def _keep(self, name: str, operation: str, /, **members: Json) -> WireAnswer:
        self._answers[name] = answer = self._service.call(operation, **members)
        return answer
