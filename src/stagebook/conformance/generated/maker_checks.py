"""The rules that all resources with an ARN share: made, returned, listed, tagged and deleted.

Compositions are left out: on AWS, one that is started costs money by the minute.
"""

from collections.abc import Iterator
from functools import partial

from stagebook.conformance.check import Basis, Check, Cost
from stagebook.conformance.check_outcomes import CheckSkippedError
from stagebook.conformance.expectations import expect, expect_equal, expect_output, expect_refused
from stagebook.conformance.model.api_model import MAKERS, ApiModel, Maker
from stagebook.conformance.public_key_samples import public_key_pem
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

TAGS = {"team": "blue", "empty": ""}


def required_of_maker(maker: Maker) -> dict[str, Json]:
    """Return the members without which the resource cannot be made. A public key is a new one for each call."""
    if maker.operation == "CreateIngestConfiguration":
        return {"ingestProtocol": "RTMPS"}
    if maker.operation == "CreateStorageConfiguration":
        return {"s3": {"bucketName": "amzn-s3-demo-bucket"}}
    if maker.operation == "ImportPublicKey":
        return {"publicKeyMaterial": public_key_pem()}
    return {}


def maker_checks(model: ApiModel) -> Iterator[Check]:
    """Yield the checks of each kind of resource."""
    for maker in MAKERS:
        if maker.operation != "StartComposition":
            yield from _creation_checks(maker)
            yield from _request_checks(maker)
            yield from _deletion_checks(maker)
            yield from _tag_checks(maker)
            yield from _list_checks(maker, f"List{maker.request.removeprefix('Get')}s", model)


def _creation_checks(maker: Maker) -> Iterator[Check]:
    check = partial(Check, operation=maker.operation, cost=Cost.CREATES)

    def output(service: ServiceUnderTest) -> None:
        members = {"name": service.name(), **required_of_maker(maker)}
        answer = service.make_call(maker.operation, **members)
        expect_output(service, answer)
        service.delete(answer.json()[maker.member]["arn"])

    def arn(service: ServiceUnderTest) -> None:
        made = _shared(service, maker)
        start = f"arn:aws:ivs:{service.region}:{service.account_id}:{maker.kind}/"
        expect(made["arn"].startswith(start), expected=f"an ARN that starts with {start}", got=made["arn"])

    def name(service: ServiceUnderTest) -> None:
        wanted = service.name()
        made = service.make(maker.operation, **{**required_of_maker(maker), "name": wanted})
        expect_equal(made.get("name"), wanted, "name")
        service.delete(made["arn"])

    def longest_name(service: ServiceUnderTest) -> None:
        wanted = service.name().ljust(128, "_")
        made = service.make(maker.operation, **{**required_of_maker(maker), "name": wanted})
        expect_equal(made.get("name"), wanted, "name")
        service.delete(made["arn"])

    page = f'API reference, page "{maker.operation}"'
    yield check(rule="output", source=f"service model, {maker.operation}", body=output)
    yield check(rule="arn", source="service model, pattern of the ARN", body=arn)
    yield check(rule="name.returned", source=page, body=name)
    yield check(rule="name.longest", source=page, body=longest_name)


def _request_checks(maker: Maker) -> Iterator[Check]:
    check = partial(Check, operation=maker.request, cost=Cost.CREATES)

    def get_output(service: ServiceUnderTest) -> None:
        expect_output(service, service.call(maker.request, arn=_shared(service, maker)["arn"]))

    def get_equals(service: ServiceUnderTest) -> None:
        made = _shared(service, maker)
        got = service.result(maker.request, arn=made["arn"])[maker.member]
        differing = sorted(member for member in made.keys() | got.keys() if made.get(member) != got.get(member))
        expect(not differing, expected=f"the resource of {maker.operation}", got=f"other values of {differing}")

    yield check(rule="output", source=f"service model, {maker.request}", body=get_output)
    yield check(rule="equals-created", source=f'API reference, page "{maker.request}"', body=get_equals)


def _deletion_checks(maker: Maker) -> Iterator[Check]:
    check = partial(Check, operation=maker.delete, cost=Cost.CREATES)

    def delete_output(service: ServiceUnderTest) -> None:
        made = service.make(maker.operation, **required_of_maker(maker))
        expect_output(service, service.call(maker.delete, arn=made["arn"]))

    def gone(service: ServiceUnderTest) -> None:
        made = service.make(maker.operation, **required_of_maker(maker))
        service.delete(made["arn"])
        expect_refused(service.call(maker.request, arn=made["arn"]), "ResourceNotFoundException")

    def twice(service: ServiceUnderTest) -> None:
        made = service.make(maker.operation, **required_of_maker(maker))
        service.delete(made["arn"])
        expect_refused(service.call(maker.delete, arn=made["arn"]), "ResourceNotFoundException")

    page = f'API reference, page "{maker.delete}"'
    yield check(rule="output", source=page, body=delete_output)
    yield check(rule="gone", source=page, body=gone)
    yield check(rule="twice", source=f"{page}, section Errors", body=twice)


def _tag_checks(maker: Maker) -> Iterator[Check]:
    check = partial(Check, cost=Cost.CREATES)
    source = f'API reference, page "{maker.operation}", member tags'

    def returned(service: ServiceUnderTest) -> None:
        made = service.make(maker.operation, **required_of_maker(maker), tags=TAGS)
        expect_equal(made.get("tags"), TAGS, "tags")
        expect_equal(service.result("ListTagsForResource", resourceArn=made["arn"])["tags"], TAGS, "the listed tags")
        service.delete(made["arn"])

    def most(service: ServiceUnderTest) -> None:
        tags = {f"key-{number}": "v" for number in range(50)}
        made = service.make(maker.operation, **required_of_maker(maker), tags=tags)
        expect_equal(len(made.get("tags", {})), 50, "the number of tags")
        service.delete(made["arn"])

    def reserved(service: ServiceUnderTest) -> None:
        members = {"name": service.name(), **required_of_maker(maker), "tags": {"aws:mine": "v"}}
        answer = service.make_call(maker.operation, **members)
        expect_refused(answer, "ValidationException")

    yield check(operation=maker.operation, rule="tags.returned", source=source, body=returned)
    yield check(operation=maker.operation, rule="tags.most", source="service model, Tags, at most 50", body=most)
    yield check(
        operation=maker.operation,
        rule="tags.reserved-prefix",
        source='Tagging AWS resources user guide, "Tag naming limits and requirements": aws: is reserved',
        body=reserved,
    )
    yield _tag_change_check(maker, source)


def _tag_change_check(maker: Maker, source: str) -> Check:
    def changed(service: ServiceUnderTest) -> None:
        made = service.make(maker.operation, **required_of_maker(maker), tags={"team": "blue", "cost": "1"})
        service.result("TagResource", resourceArn=made["arn"], tags={"team": "red", "more": "2"})
        service.result("UntagResource", resourceArn=made["arn"], tagKeys=["cost"])
        tags = service.result("ListTagsForResource", resourceArn=made["arn"])["tags"]
        expect_equal(tags, {"team": "red", "more": "2"}, "the tags after TagResource and UntagResource")
        service.delete(made["arn"])

    return Check(
        operation="TagResource",
        rule=f"of-{maker.kind}",
        source=f"{source}; the page TagResource says that stages can be tagged",
        basis=Basis.DOCUMENTED if maker.kind == "stage" else Basis.CHOSEN,
        body=changed,
        cost=Cost.CREATES,
    )


def _list_checks(maker: Maker, operation: str, model: ApiModel) -> Iterator[Check]:
    members = model.item_members(operation)

    def contains(service: ServiceUnderTest) -> None:
        made = _shared(service, maker)
        item = _listed(service, operation).get(made["arn"])
        expect(item is not None, expected=f"{made['arn']} in the list", got="a list without it")
        for member in members:
            if member in made and member in (item or {}):
                expect_equal((item or {})[member], made[member], f"{member} of the item")

    def removed(service: ServiceUnderTest) -> None:
        made = service.make(maker.operation, **required_of_maker(maker))
        service.delete(made["arn"])
        expect(made["arn"] not in _listed(service, operation), expected="a list without it", got="the deleted resource")

    source = f'API reference, page "{operation}"'
    yield Check(operation=operation, rule="contains-created", source=source, body=contains, cost=Cost.CREATES)
    yield Check(operation=operation, rule="omits-deleted", source=source, body=removed, cost=Cost.CREATES)
    yield _pages_check(maker, operation, source)


def _pages_check(maker: Maker, operation: str, source: str) -> Check:
    def paged(service: ServiceUnderTest) -> None:
        _shared(service, maker)
        second = service.make(maker.operation, **required_of_maker(maker))
        whole = list(_listed(service, operation))
        if len(whole) > MOST_PAGES:
            raise CheckSkippedError(f"the list has {len(whole)} items, which is too long for pages of one")
        single = list(_listed(service, operation, maxResults=1))
        service.delete(second["arn"])
        expect_equal(single, whole, "the ARNs in pages of one")
        expect(second["arn"] in whole, expected=f"{second['arn']} in the list", got="a list without it")

    return Check(
        operation=operation,
        rule="pages-complete",
        source=f"{source}, members maxResults and nextToken",
        body=paged,
        cost=Cost.CREATES,
    )


MOST_PAGES = 60
"""A list that is longer is not read in pages of one."""


def _shared(service: ServiceUnderTest, maker: Maker) -> Json:
    if maker.operation == "ImportPublicKey":
        return service.shared(maker.operation, publicKeyMaterial=service.once("public key", public_key_pem))
    return service.shared(maker.operation, **required_of_maker(maker))


def _listed(service: ServiceUnderTest, operation: str, **members: Json) -> dict[str, Json]:
    """Return all items of a list by ARN. Raises CheckFailedError when an item is on two pages."""
    found: dict[str, Json] = {}
    token: str | None = None
    for _ in range(2_000):
        document = service.result(operation, **members, **({"nextToken": token} if token else {}))
        items = next(value for value in document.values() if isinstance(value, list))
        for item in items:
            expect(item["arn"] not in found, expected="each item on one page", got=f"{item['arn']} twice")
            found[item["arn"]] = item
        token = document.get("nextToken")
        if not token:
            break
    return found
