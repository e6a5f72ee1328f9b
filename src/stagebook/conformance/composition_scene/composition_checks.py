"""What the API says about compositions that run, stop and have ended."""

import re
from collections.abc import Mapping

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, user_guide
from stagebook.conformance.composition_scene.composition_script import (
    FINAL_STATES,
    TAGS,
    compositions_of,
)
from stagebook.conformance.expectations import expect, expect_equal, expect_output, expect_refused
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.COMPOSES)

START, GET, LIST, STOP = "StartComposition", "GetComposition", "ListCompositions", "StopComposition"
LIFE_CYCLE = user_guide("ssc-overview")
CLI_EXAMPLE = "AWS CLI reference, start-composition, example"
GRID_DEFAULTS: Mapping[str, Json] = {
    "featuredParticipantAttribute": "",
    "omitStoppedVideo": False,
    "videoAspectRatio": "VIDEO",
    "gridGap": 2,
    "participantOrderAttribute": "",
}
PIP_DEFAULTS: Mapping[str, Json] = {
    "featuredParticipantAttribute": "",
    "omitStoppedVideo": False,
    "videoFillMode": "COVER",
    "gridGap": 0,
    "pipParticipantAttribute": "",
    "pipBehavior": "STATIC",
    "pipOffset": 0,
    "pipPosition": "BOTTOM_RIGHT",
    "participantOrderAttribute": "",
}
_DESTINATION_ID = re.compile(r"[a-zA-Z0-9]{12}")


def _composition(service: ServiceUnderTest, name: str) -> Json:
    return compositions_of(service).document(name)["composition"]


def _arns(service: ServiceUnderTest, name: str) -> list[str]:
    return [each["arn"] for each in compositions_of(service).document(name)["compositions"]]


def _expect_layout(composition: Json, layout: str, defaults: Mapping[str, Json]) -> None:
    members = (composition.get("layout") or {}).get(layout) or {}
    expect_equal({name: members.get(name) for name in defaults}, dict(defaults), f"layout.{layout}")


@checks.add(START, "output")
def _started(service: ServiceUnderTest) -> None:
    expect_output(service, compositions_of(service).answer("start"))


@checks.add(START, "state", source=CLI_EXAMPLE, basis=Basis.OBSERVED)
def _starting(service: ServiceUnderTest) -> None:
    started = _composition(service, "start")
    states = [started["state"], *(each["state"] for each in started["destinations"])]
    expect_equal(states, ["STARTING", "STARTING"], "the states of the composition and its destination")
    expect(started.get("startTime") is not None, expected="a startTime", got=started)
    expect(started.get("endTime") is None, expected="no endTime", got=started)


@checks.add(START, "destinations.id", source=CLI_EXAMPLE, basis=Basis.OBSERVED)
def _destination(service: ServiceUnderTest) -> None:
    (destination,) = _composition(service, "start")["destinations"]
    identity = str(destination.get("id"))
    expect(bool(_DESTINATION_ID.fullmatch(identity)), expected="an id of 12 letters and digits", got=identity)


@checks.add(START, "destinations.detail.s3.recordingPrefix", source=CLI_EXAMPLE, basis=Basis.OBSERVED)
def _prefix(service: ServiceUnderTest) -> None:
    (destination,) = _composition(service, "start")["destinations"]
    prefix = str(destination.get("detail", {}).get("s3", {}).get("recordingPrefix"))
    expect(prefix.endswith("/composite"), expected="a recordingPrefix that ends with /composite", got=prefix)
    expect(f"/{destination['id']}/" in prefix, expected="the id of the destination in it", got=prefix)


@checks.add(START, "destinations.s3.recordingConfiguration.defaults", source="service model, RecordingConfiguration")
def _recording(service: ServiceUnderTest) -> None:
    (destination,) = _composition(service, "start")["destinations"]
    recording = destination["configuration"]["s3"].get("recordingConfiguration") or {}
    expect_equal(recording.get("format"), "HLS", "format")
    expect_equal(recording.get("hlsConfiguration"), {"targetSegmentDurationSeconds": 2}, "hlsConfiguration")


@checks.add(START, "layout.grid.defaults", source="service model, GridConfiguration")
def _grid(service: ServiceUnderTest) -> None:
    _expect_layout(_composition(service, "start"), "grid", GRID_DEFAULTS)


@checks.add(START, "layout.pip.defaults", source="service model, PipConfiguration")
def _pip(service: ServiceUnderTest) -> None:
    _expect_layout(_composition(service, "start pip"), "pip", PIP_DEFAULTS)


@checks.add(START, "tags.returned")
def _tags(service: ServiceUnderTest) -> None:
    expect_equal(_composition(service, "start").get("tags"), TAGS, "tags")


@checks.add(START, "idempotencyToken.same-parameters", basis=Basis.CHOSEN)
def _again(service: ServiceUnderTest) -> None:
    expect_equal(_composition(service, "start again").get("arn"), compositions_of(service).arn, "the arn")


@checks.add(START, "idempotencyToken.other-parameters", basis=Basis.CHOSEN)
def _otherwise(service: ServiceUnderTest) -> None:
    expect_refused(compositions_of(service).answer("start otherwise"), "ConflictException")


@checks.add(GET, "output")
def _got(service: ServiceUnderTest) -> None:
    expect_output(service, compositions_of(service).answer("get"))


@checks.add(GET, "same-as-started")
def _same(service: ServiceUnderTest) -> None:
    started, got = (_composition(service, name) for name in ("start", "get"))
    for member in ("arn", "stageArn", "layout", "startTime", "tags"):
        expect_equal(got.get(member), started.get(member), member)


@checks.add(GET, "destinations.state.started", source=LIFE_CYCLE)
def _active(service: ServiceUnderTest) -> None:
    """A bucket of the suite's name need not exist, or may be closed."""
    composition = _composition(service, "active")
    states = (composition["state"], composition["destinations"][0]["state"])
    allowed = (("ACTIVE", "ACTIVE"), ("FAILED", "FAILED"))
    expect(states in allowed, expected="both ACTIVE, or both FAILED without the bucket", got=states)


@checks.add(LIST, "output.started")
def _listed(service: ServiceUnderTest) -> None:
    expect_output(service, compositions_of(service).answer("list"))


@checks.add(LIST, "contains-started")
def _contains(service: ServiceUnderTest) -> None:
    arns = _arns(service, "list")
    expect(compositions_of(service).arn in arns, expected="the composition that was started", got=arns)


@checks.add(LIST, "summary", source="service model, CompositionSummary")
def _summary(service: ServiceUnderTest) -> None:
    items = compositions_of(service).document("list of stage")["compositions"]
    expect_equal(len(items), 1, "the number of compositions of the stage")
    item: Json = items[0]
    expect_equal([each.get("state") is not None for each in item.get("destinations", ())], [True], "states")
    expect("layout" not in item, expected="no layout in a summary", got=item)


@checks.add(LIST, "filterByStageArn.started")
def _of_stage(service: ServiceUnderTest) -> None:
    arn = compositions_of(service).arn
    expect_equal(_arns(service, "list of stage"), [arn], "the compositions of the stage")
    others = _arns(service, "list of other stage")
    expect(arn not in others, expected="none of another stage", got=others)


@checks.add(LIST, "filterByEncoderConfigurationArn.started")
def _of_encoder(service: ServiceUnderTest) -> None:
    arns = _arns(service, "list of encoder")
    expect(compositions_of(service).arn in arns, expected="the composition that uses the configuration", got=arns)


@checks.add(LIST, "nextToken.next-page")
def _pages(service: ServiceUnderTest) -> None:
    compositions_of(service).document("start pip")
    first, second = (_arns(service, name) for name in ("first page", "second page"))
    expect_equal(len(first), 1, "the number of compositions of the first page")
    expect_equal(sorted(first + second), sorted(_arns(service, "list of encoder")), "the compositions of both pages")


@checks.add(LIST, "nextToken.of-another-filter", basis=Basis.CHOSEN)
def _other_query(service: ServiceUnderTest) -> None:
    compositions_of(service).document("start pip")
    expect_refused(compositions_of(service).answer("page of another query"), "ValidationException")


@checks.add("DeleteEncoderConfiguration", "in-use")
def _encoder_in_use(service: ServiceUnderTest) -> None:
    expect_refused(compositions_of(service).answer("delete encoder"), "ConflictException")


@checks.add("DeleteStorageConfiguration", "in-use")
def _storage_in_use(service: ServiceUnderTest) -> None:
    expect_refused(compositions_of(service).answer("delete storage"), "ConflictException")


@checks.add("DeleteEncoderConfiguration", "after-its-compositions")
def _encoder_free(service: ServiceUnderTest) -> None:
    compositions_of(service).document("delete encoder later")


@checks.add("DeleteStorageConfiguration", "after-its-compositions")
def _storage_free(service: ServiceUnderTest) -> None:
    compositions_of(service).document("delete storage later")


@checks.add(STOP, "output")
def _stopped(service: ServiceUnderTest) -> None:
    compositions_of(service).document("stop")


@checks.add(STOP, "state", source=LIFE_CYCLE)
def _stopping(service: ServiceUnderTest) -> None:
    state = _composition(service, "stopping")["state"]
    expect(state in ("STOPPING", *FINAL_STATES), expected="STOPPING, STOPPED or FAILED", got=state)


@checks.add(STOP, "again", basis=Basis.CHOSEN)
def _stopped_again(service: ServiceUnderTest) -> None:
    compositions_of(service).document("stop again")


@checks.add(GET, "ended", source=LIFE_CYCLE)
def _ended(service: ServiceUnderTest) -> None:
    composition = _composition(service, "ended")
    states = [composition["state"], *(each["state"] for each in composition["destinations"])]
    expect(set(states) <= set(FINAL_STATES), expected="STOPPED or FAILED", got=states)
    expect(bool(composition.get("endTime")), expected="an endTime", got=composition)


@checks.add(GET, "gone-after-five-minutes", source=LIFE_CYCLE)
def _gone(service: ServiceUnderTest) -> None:
    expect_refused(compositions_of(service).answer("get later"), "ResourceNotFoundException")


@checks.add(LIST, "gone-after-five-minutes", source=LIFE_CYCLE)
def _gone_from_list(service: ServiceUnderTest) -> None:
    compositions_of(service).answer("list later")
    expect_equal(_arns(service, "list later"), [], "the compositions of the stage after five minutes")
