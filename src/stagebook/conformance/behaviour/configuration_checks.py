"""Encoder and storage configurations, and the lists of compositions: defaults, limits and summaries."""

from collections.abc import Mapping

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, api_page
from stagebook.conformance.expectations import expect, expect_equal, expect_output, expect_refused
from stagebook.conformance.model.sample_values import NEVER_MADE_ID
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.CREATES)

ENCODER = "CreateEncoderConfiguration"
VIDEO_SOURCE = "service model, Video"
DEFAULT_VIDEO: Mapping[str, float] = {"width": 1280, "height": 720, "framerate": 30, "bitrate": 2_500_000}


def _refused_video(service: ServiceUnderTest, **video: float) -> None:
    answer = service.call(ENCODER, name=service.name(), video=video)
    expect_refused(answer, "ValidationException")


@checks.add(ENCODER, "video.defaults", source=f"{VIDEO_SOURCE}: defaults 1280, 720, 30, 2500000")
def _defaults(service: ServiceUnderTest) -> None:
    expect_equal(service.shared(ENCODER).get("video"), dict(DEFAULT_VIDEO), "video")


@checks.add(ENCODER, "video.returned")
def _video(service: ServiceUnderTest) -> None:
    wanted = {"width": 640, "height": 360, "framerate": 24, "bitrate": 800_000}
    made = service.make(ENCODER, video=wanted)
    expect_equal(made.get("video"), wanted, "video")
    service.delete(made["arn"])


@checks.add(ENCODER, "video.partly-given", source=f"{VIDEO_SOURCE}: each member has a default")
def _partly(service: ServiceUnderTest) -> None:
    made = service.make(ENCODER, video={"bitrate": 1_000_000})
    expect_equal(made.get("video"), {**DEFAULT_VIDEO, "bitrate": 1_000_000}, "video")
    service.delete(made["arn"])


@checks.add(ENCODER, "video.width.odd", source=f"{VIDEO_SOURCE}, width: must be even")
def _odd_width(service: ServiceUnderTest) -> None:
    _refused_video(service, width=641, height=360)


@checks.add(ENCODER, "video.height.odd", source=f"{VIDEO_SOURCE}, height: must be even")
def _odd_height(service: ServiceUnderTest) -> None:
    _refused_video(service, width=640, height=361)


@checks.add(ENCODER, "video.too-many-pixels", source=f"{VIDEO_SOURCE}: at most 2073600 pixels")
def _too_many_pixels(service: ServiceUnderTest) -> None:
    _refused_video(service, width=1920, height=1920)


@checks.add(ENCODER, "video.portrait", source=f"{VIDEO_SOURCE}: width and height from 2 to 1920")
def _portrait(service: ServiceUnderTest) -> None:
    made = service.make(ENCODER, video={"width": 1080, "height": 1920})
    expect_equal((made["video"]["width"], made["video"]["height"]), (1080, 1920), "width and height")
    service.delete(made["arn"])


@checks.add(ENCODER, "video.framerate.fraction", source=f"{VIDEO_SOURCE}, framerate: a float")
def _fraction(service: ServiceUnderTest) -> None:
    made = service.make(ENCODER, video={"framerate": 29.5})
    expect_equal(made["video"].get("framerate"), 29.5, "framerate")
    service.delete(made["arn"])


@checks.add("ListEncoderConfigurations", "summary", source="service model, EncoderConfigurationSummary")
def _encoder_summary(service: ServiceUnderTest) -> None:
    service.shared(ENCODER)
    items = service.result("ListEncoderConfigurations")["encoderConfigurations"]
    expect(all("video" not in item for item in items), expected="summaries without video", got="video")


@checks.add("CreateStorageConfiguration", "s3.returned")
def _bucket(service: ServiceUnderTest) -> None:
    made = service.make("CreateStorageConfiguration", s3={"bucketName": "amzn-s3-demo-bucket"})
    expect_equal(made.get("s3"), {"bucketName": "amzn-s3-demo-bucket"}, "s3")
    service.delete(made["arn"])


@checks.add("ListStorageConfigurations", "s3.listed", source="service model, StorageConfigurationSummary")
def _listed_bucket(service: ServiceUnderTest) -> None:
    made = service.make("CreateStorageConfiguration", s3={"bucketName": "amzn-s3-demo-bucket"})
    items = {item["arn"]: item for item in service.result("ListStorageConfigurations")["storageConfigurations"]}
    service.delete(made["arn"])
    expect_equal(items.get(made["arn"], {}).get("s3"), {"bucketName": "amzn-s3-demo-bucket"}, "s3 of the item")


@checks.add("ListCompositions", "filterByStageArn", source=api_page("ListCompositions"))
def _compositions_of_a_stage(service: ServiceUnderTest) -> None:
    answer = service.call("ListCompositions", filterByStageArn=service.shared("CreateStage")["arn"])
    expect_output(service, answer)
    expect_equal(answer.json()["compositions"], [], "the compositions of a new stage")


@checks.add("ListCompositions", "filterByEncoderConfigurationArn", source=api_page("ListCompositions"))
def _compositions_of_an_encoder(service: ServiceUnderTest) -> None:
    answer = service.call("ListCompositions", filterByEncoderConfigurationArn=service.shared(ENCODER)["arn"])
    expect_output(service, answer)
    expect_equal(answer.json()["compositions"], [], "the compositions of a new encoder configuration")


@checks.add(
    "StartComposition",
    "destinations.without-a-place",
    source="service model, DestinationConfiguration: a channel or a storage configuration",
    basis=Basis.CHOSEN,
)
def _no_place(service: ServiceUnderTest) -> None:
    members: dict[str, Json] = {"stageArn": service.shared("CreateStage")["arn"], "destinations": [{"name": "nowhere"}]}
    expect_refused(service.call("StartComposition", **members), "ValidationException")


@checks.add("StartComposition", "idempotencyToken.with-an-unknown-stage", basis=Basis.CHOSEN, cost=Cost.HARMLESS)
def _unknown_stage(service: ServiceUnderTest) -> None:
    s3 = {
        "storageConfigurationArn": service.samples.arn("storage-configuration"),
        "encoderConfigurationArns": [service.samples.arn("encoder-configuration")],
    }
    answer = service.call(
        "StartComposition",
        stageArn=service.samples.arn("stage"),
        destinations=[{"s3": s3}],
        idempotencyToken=NEVER_MADE_ID,
    )
    expect_refused(answer, "ResourceNotFoundException", "ValidationException", "AccessDeniedException")


def _refused_destination(service: ServiceUnderTest, **members: Json) -> None:
    s3 = {
        "storageConfigurationArn": service.shared(
            "CreateStorageConfiguration", s3={"bucketName": "amzn-s3-demo-bucket"}
        )["arn"],
        "encoderConfigurationArns": [service.shared(ENCODER)["arn"]],
        **members,
    }
    stage_arn = service.shared("CreateStage")["arn"]
    answer = service.call("StartComposition", stageArn=stage_arn, destinations=[{"s3": s3}])
    expect_refused(answer, "ResourceNotFoundException", "ValidationException", "AccessDeniedException")


@checks.add("StartComposition", "destinations.s3.storageConfigurationArn.unknown", basis=Basis.CHOSEN)
def _composition_unknown_storage(service: ServiceUnderTest) -> None:
    _refused_destination(service, storageConfigurationArn=service.arn("storage-configuration"))


@checks.add("StartComposition", "destinations.s3.encoderConfigurationArns.unknown", basis=Basis.CHOSEN)
def _composition_unknown_encoder(service: ServiceUnderTest) -> None:
    _refused_destination(service, encoderConfigurationArns=[service.arn("encoder-configuration")])
