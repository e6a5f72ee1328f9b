"""ImportPublicKey, GetPublicKey, ListPublicKeys, DeletePublicKey and RevokeConnectionToken."""

import re

import pytest

from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.house import ACCOUNT_ID, Json, ManagerHarness
from tests.clients.own_key import OwnKey

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:public-key/abcdABC1efg2"


async def import_key(house: ManagerHarness, **members: Json) -> Json:
    return (await house.call("ImportPublicKey", **{"publicKeyMaterial": OwnKey().public_pem, **members}))["publicKey"]


async def test_an_imported_key_is_shown_whole_and_listed_in_short(house: ManagerHarness) -> None:
    material = f"made in spring\r\n{OwnKey().public_pem}"
    key = await import_key(house, publicKeyMaterial=material, name="studio", tags={"team": "blue"})
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:public-key/[0-9A-Za-z]{{12}}", key["arn"])
    assert re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}", key["fingerprint"])
    assert key == {
        "arn": key["arn"],
        "name": "studio",
        "publicKeyMaterial": material,
        "fingerprint": key["fingerprint"],
        "tags": {"team": "blue"},
    }
    assert await house.call("GetPublicKey", arn=key["arn"]) == {"publicKey": key}
    assert await house.call("ListPublicKeys") == {
        "publicKeys": [{"arn": key["arn"], "name": "studio", "tags": {"team": "blue"}}]
    }


async def test_a_key_without_name_and_tags_has_empty_ones(house: ManagerHarness) -> None:
    key = await import_key(house)
    assert (key["name"], key["tags"]) == ("", {})


async def test_keys_are_listed_page_by_page_in_order_of_import(house: ManagerHarness) -> None:
    arns = [(await import_key(house))["arn"] for _ in range(5)]
    pages = await house.pages("ListPublicKeys", "publicKeys", maxResults=2)
    assert [[key["arn"] for key in page] for page in pages] == [arns[:2], arns[2:4], arns[4:]]


async def test_an_account_sees_its_own_keys_alone(house: ManagerHarness) -> None:
    await import_key(house)
    assert await house.call("ListPublicKeys", account_id="210987654321") == {"publicKeys": []}


async def test_a_page_token_of_another_list_is_refused(house: ManagerHarness) -> None:
    for _ in range(2):
        await import_key(house)
        await house.create_stage()
    token = (await house.call("ListStages", maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError, match="nextToken"):
        await house.call("ListPublicKeys", maxResults=1, nextToken=token)


async def test_a_deleted_key_is_gone(house: ManagerHarness) -> None:
    key = await import_key(house)
    assert await house.call("DeletePublicKey", arn=key["arn"]) is None
    assert await house.call("ListPublicKeys") == {"publicKeys": []}
    for operation in ("GetPublicKey", "DeletePublicKey"):
        with pytest.raises(ResourceNotFoundError, match=key["arn"]):
            await house.call(operation, arn=key["arn"])


async def test_an_unknown_key_is_not_found(house: ManagerHarness) -> None:
    for operation in ("GetPublicKey", "DeletePublicKey"):
        with pytest.raises(ResourceNotFoundError):
            await house.call(operation, arn=UNKNOWN_ARN)


async def test_a_key_is_imported_once(house: ManagerHarness) -> None:
    material = OwnKey().public_pem
    key = await import_key(house, publicKeyMaterial=material)
    with pytest.raises(ConflictError, match=key["arn"]):
        await import_key(house, publicKeyMaterial=material)


async def test_a_key_has_tags_like_any_resource(house: ManagerHarness) -> None:
    key = await import_key(house, tags={"team": "blue", "cost": "1"})
    await house.call("TagResource", resourceArn=key["arn"], tags={"team": "red"})
    await house.call("UntagResource", resourceArn=key["arn"], tagKeys=["cost"])
    assert await house.call("ListTagsForResource", resourceArn=key["arn"]) == {"tags": {"team": "red"}}
    assert await house.call("GetPublicKey", arn=key["arn"]) == {"publicKey": {**key, "tags": {"team": "red"}}}


async def test_a_connection_token_is_revoked_whether_it_was_seen_or_not(house: ManagerHarness) -> None:
    for _ in range(2):
        assert await house.call("RevokeConnectionToken", tokenId="Mx6clRRHODPy") is None
    assert house.book.is_connection_token_revoked(ACCOUNT_ID, "Mx6clRRHODPy")
    assert not house.book.is_connection_token_revoked("210987654321", "Mx6clRRHODPy")
