"""Starts of compositions that must be refused: destinations, layouts, stages, the quota."""

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, api_page, user_guide
from stagebook.conformance.check_outcomes import CheckSkippedError
from stagebook.conformance.composition_scene.composition_script import BUCKET, ENCODER, STORAGE, wait_until_ended
from stagebook.conformance.expectations import expect_refused
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json, WireAnswer

checks = CheckGroup(cost=Cost.CREATES)

START = "StartComposition"
COMPOSITIONS_PER_STAGE = 5


def _start(service: ServiceUnderTest, *, buckets: int = 1, **members: Json) -> WireAnswer:
    """Start a composition into a bucket whose configuration exists."""
    storage = service.shared(STORAGE, s3=BUCKET)["arn"]
    bucket = {"s3": {"storageConfigurationArn": storage, "encoderConfigurationArns": [service.shared(ENCODER)["arn"]]}}
    given = {"stageArn": service.shared("CreateStage")["arn"], "destinations": [bucket] * buckets, **members}
    return service.call(START, **given)


@checks.add(START, "destinations.two-buckets", source=api_page("DestinationConfiguration"))
def _two_buckets(service: ServiceUnderTest) -> None:
    expect_refused(_start(service, buckets=2), "ValidationException")


@checks.add(START, "layout.grid-and-pip", basis=Basis.CHOSEN)
def _two_layouts(service: ServiceUnderTest) -> None:
    expect_refused(_start(service, layout={"grid": {}, "pip": {}}), "ValidationException")


@checks.add(START, "layout.empty", basis=Basis.CHOSEN)
def _no_layout(service: ServiceUnderTest) -> None:
    expect_refused(_start(service, layout={}), "ValidationException")


@checks.add(START, "stageArn.deleted")
def _deleted_stage(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage")
    service.delete(made["arn"])
    expect_refused(_start(service, stageArn=made["arn"]), "ResourceNotFoundException")


@checks.add(START, "destinations.channel.channelArn.unknown", basis=Basis.CHOSEN)
def _unknown_channel(service: ServiceUnderTest) -> None:
    channel = {"channelArn": service.arn("channel")}
    codes = ("ResourceNotFoundException", "ValidationException", "AccessDeniedException")
    expect_refused(_start(service, destinations=[{"channel": channel}]), *codes)


@checks.add(
    START, "quota", source=f"{user_guide('service-quotas')}: 5 compositions per stage, adjustable", cost=Cost.COMPOSES
)
def _quota(service: ServiceUnderTest) -> None:
    stage_arn = service.make("CreateStage")["arn"]
    answers: list[WireAnswer] = []
    while len(answers) <= COMPOSITIONS_PER_STAGE and all(each.is_success for each in answers):
        answers.append(_start(service, stageArn=stage_arn))
    started = [str(each.json()["composition"]["arn"]) for each in answers if each.is_success and each.body]
    for arn in started:
        service.delete(arn)
    # Their configurations cannot be deleted before.
    for arn in started:
        wait_until_ended(service, arn)
    if len(started) > COMPOSITIONS_PER_STAGE:
        raise CheckSkippedError(f"the stage may have more than {COMPOSITIONS_PER_STAGE} compositions")
    expect_refused(answers[-1], "ServiceQuotaExceededException")
