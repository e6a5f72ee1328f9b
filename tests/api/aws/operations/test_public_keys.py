"""ImportPublicKey, GetPublicKey, ListPublicKeys, DeletePublicKey and RevokeConnectionToken."""

import re

import pytest

from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.aws_api_harness import ACCOUNT_ID, AwsApiHarness, Json
from tests.clients.own_key import OwnKey

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:public-key/abcdABC1efg2"


async def import_key(api: AwsApiHarness, **members: Json) -> Json:
    return (await api.call("ImportPublicKey", **{"publicKeyMaterial": OwnKey().public_pem, **members}))["publicKey"]


async def test_an_imported_key_has_all_members_and_a_summary(api: AwsApiHarness) -> None:
    material = f"created in spring\r\n{OwnKey().public_pem}"
    key = await import_key(api, publicKeyMaterial=material, name="studio", tags={"team": "blue"})
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:public-key/[0-9A-Za-z]{{12}}", key["arn"])
    assert re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}", key["fingerprint"])
    assert key == {
        "arn": key["arn"],
        "name": "studio",
        "publicKeyMaterial": material,
        "fingerprint": key["fingerprint"],
        "tags": {"team": "blue"},
    }
    assert await api.call("GetPublicKey", arn=key["arn"]) == {"publicKey": key}
    assert await api.call("ListPublicKeys") == {
        "publicKeys": [{"arn": key["arn"], "name": "studio", "tags": {"team": "blue"}}]
    }


async def test_the_name_and_tags_of_a_key_are_empty_by_default(api: AwsApiHarness) -> None:
    key = await import_key(api)
    assert (key["name"], key["tags"]) == ("", {})


async def test_keys_are_listed_in_order_of_import(api: AwsApiHarness) -> None:
    arns = [(await import_key(api))["arn"] for _ in range(5)]
    pages = await api.pages("ListPublicKeys", "publicKeys", maxResults=2)
    assert [[key["arn"] for key in page] for page in pages] == [arns[:2], arns[2:4], arns[4:]]


async def test_a_list_has_only_the_keys_of_the_account(api: AwsApiHarness) -> None:
    await import_key(api)
    assert await api.call("ListPublicKeys", account_id="210987654321") == {"publicKeys": []}


async def test_a_page_token_of_another_list_is_refused(api: AwsApiHarness) -> None:
    for _ in range(2):
        await import_key(api)
        await api.create_stage()
    token = (await api.call("ListStages", maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError, match="nextToken"):
        await api.call("ListPublicKeys", maxResults=1, nextToken=token)


async def test_a_deleted_key_does_not_exist(api: AwsApiHarness) -> None:
    key = await import_key(api)
    assert await api.call("DeletePublicKey", arn=key["arn"]) is None
    assert await api.call("ListPublicKeys") == {"publicKeys": []}
    for operation in ("GetPublicKey", "DeletePublicKey"):
        with pytest.raises(ResourceNotFoundError, match=key["arn"]):
            await api.call(operation, arn=key["arn"])


async def test_an_unknown_key_is_not_found(api: AwsApiHarness) -> None:
    for operation in ("GetPublicKey", "DeletePublicKey"):
        with pytest.raises(ResourceNotFoundError):
            await api.call(operation, arn=UNKNOWN_ARN)


async def test_a_key_that_exists_is_not_imported_again(api: AwsApiHarness) -> None:
    material = OwnKey().public_pem
    key = await import_key(api, publicKeyMaterial=material)
    with pytest.raises(ConflictError, match=key["arn"]):
        await import_key(api, publicKeyMaterial=material)


async def test_a_key_can_be_tagged(api: AwsApiHarness) -> None:
    key = await import_key(api, tags={"team": "blue", "cost": "1"})
    await api.call("TagResource", resourceArn=key["arn"], tags={"team": "red"})
    await api.call("UntagResource", resourceArn=key["arn"], tagKeys=["cost"])
    assert await api.call("ListTagsForResource", resourceArn=key["arn"]) == {"tags": {"team": "red"}}
    assert await api.call("GetPublicKey", arn=key["arn"]) == {"publicKey": {**key, "tags": {"team": "red"}}}


async def test_a_connection_token_can_be_revoked_before_it_is_used_and_twice(api: AwsApiHarness) -> None:
    for _ in range(2):
        assert await api.call("RevokeConnectionToken", tokenId="Mx6clRRHODPy") is None
    assert api.book.is_connection_token_revoked(ACCOUNT_ID, "Mx6clRRHODPy")
    assert not api.book.is_connection_token_revoked("210987654321", "Mx6clRRHODPy")
