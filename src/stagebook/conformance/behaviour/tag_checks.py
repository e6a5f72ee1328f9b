"""Tags: added, overwritten, removed, and the limit of fifty."""

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup
from stagebook.conformance.expectations import expect_equal, expect_output, expect_refused
from stagebook.conformance.service_under_test import ServiceUnderTest

checks = CheckGroup(cost=Cost.CREATES)

TAGGING = 'Tagging AWS resources user guide, "Tag naming limits and requirements"'


@checks.add("ListTagsForResource", "output", source="service model, ListTagsForResourceResponse")
def _list(service: ServiceUnderTest) -> None:
    arn = service.shared("CreateStage", tags={"team": "blue"})["arn"]
    expect_output(service, service.call("ListTagsForResource", resourceArn=arn))


@checks.add("ListTagsForResource", "none", source="AWS CLI reference, list-tags-for-resource")
def _none(service: ServiceUnderTest) -> None:
    arn = service.shared("CreateStage")["arn"]
    expect_equal(service.result("ListTagsForResource", resourceArn=arn)["tags"], {}, "the tags of a stage without tags")


@checks.add("TagResource", "output", source="service model, TagResourceResponse")
def _tag(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage")
    expect_output(service, service.call("TagResource", resourceArn=made["arn"], tags={"a": "1"}))
    service.delete(made["arn"])


@checks.add("TagResource", "shown-by-GetStage")
def _shown(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage")
    service.result("TagResource", resourceArn=made["arn"], tags={"a": "1"})
    expect_equal(service.result("GetStage", arn=made["arn"])["stage"].get("tags"), {"a": "1"}, "tags of GetStage")
    service.delete(made["arn"])


@checks.add("TagResource", "tags.longest", source="service model, TagKey and TagValue")
def _longest(service: ServiceUnderTest) -> None:
    made, tags = service.make("CreateStage"), {"k" * 128: "v" * 256}
    service.result("TagResource", resourceArn=made["arn"], tags=tags)
    expect_equal(service.result("ListTagsForResource", resourceArn=made["arn"])["tags"], tags, "tags")
    service.delete(made["arn"])


@checks.add("TagResource", "tags.unicode", source=TAGGING)
def _unicode(service: ServiceUnderTest) -> None:
    made, tags = service.make("CreateStage"), {"größe": "日本", "with space": "a/b=c+d@e:f_g-h.i"}
    service.result("TagResource", resourceArn=made["arn"], tags=tags)
    expect_equal(service.result("ListTagsForResource", resourceArn=made["arn"])["tags"], tags, "tags")
    service.result("UntagResource", resourceArn=made["arn"], tagKeys=list(tags))
    expect_equal(service.result("ListTagsForResource", resourceArn=made["arn"])["tags"], {}, "tags after UntagResource")
    service.delete(made["arn"])


@checks.add("TagResource", "tags.above-50-in-total", source="service model, Tags, at most 50")
def _too_many(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage", tags={f"key-{number}": "v" for number in range(50)})
    answer = service.call("TagResource", resourceArn=made["arn"], tags={"one-more": "v"})
    service.delete(made["arn"])
    expect_refused(answer, "ValidationException", "ServiceQuotaExceededException")


@checks.add("TagResource", "tags.reserved-prefix", source=TAGGING)
def _reserved(service: ServiceUnderTest) -> None:
    answer = service.call("TagResource", resourceArn=service.shared("CreateStage")["arn"], tags={"aws:a": "1"})
    expect_refused(answer, "ValidationException")


@checks.add("UntagResource", "output", source="service model, UntagResourceResponse")
def _untag(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage", tags={"a": "1"})
    expect_output(service, service.call("UntagResource", resourceArn=made["arn"], tagKeys=["a"]))
    service.delete(made["arn"])


@checks.add("UntagResource", "several-keys")
def _several(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage", tags={"a": "1", "b": "2", "c": "3"})
    service.result("UntagResource", resourceArn=made["arn"], tagKeys=["a", "b"])
    expect_equal(service.result("ListTagsForResource", resourceArn=made["arn"])["tags"], {"c": "3"}, "tags")
    service.delete(made["arn"])


@checks.add("UntagResource", "tagKeys.unknown", basis=Basis.CHOSEN)
def _unknown_key(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage", tags={"a": "1"})
    expect_output(service, service.call("UntagResource", resourceArn=made["arn"], tagKeys=["never-set"]))
    service.delete(made["arn"])
