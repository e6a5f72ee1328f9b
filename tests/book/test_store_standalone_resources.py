"""Standalone resources and revoked connection tokens of the port."""

import msgspec
import pytest

from stagebook.book.changes import DeleteResource, PutResource, RevokeConnectionToken
from stagebook.book.store import Book
from stagebook.stage.resources import (
    EncoderConfiguration,
    IngestConfiguration,
    IngestCredential,
    IngestProtocol,
    PublicKey,
    Resource,
    StorageConfiguration,
)
from tests.book.conftest import Books
from tests.book.sample import ACCOUNT, ARN, KEY_ARN, NOON_MS, commit, public_key, put_resource

PREFIX = f"arn:aws:ivs:us-west-2:{ACCOUNT}:"
RESOURCES: list[Resource] = [
    PublicKey(
        arn=KEY_ARN,
        account_id=ACCOUNT,
        created_ms=NOON_MS,
        name="key-1",
        tags={"team": "växjö", "": "empty"},
        material="-----BEGIN PUBLIC KEY-----\nMHYw\n-----END PUBLIC KEY-----\n",
        fingerprint="98:0d:1a",
    ),
    IngestConfiguration(
        arn=PREFIX + "ingest-configuration/abcdABCDefgh",
        account_id=ACCOUNT,
        created_ms=NOON_MS,
        name="studio",
        tags={"a": "b"},
        ingest_protocol=IngestProtocol.RTMP,
        insecure_ingest=True,
        stage_arn=ARN,
        participant_id="xyZ654abC321",
        stream_key="rt_secret",
        user_id="user 😀",
        attributes={"role": 'say "hello"\x00'},
        redundant_ingest=True,
        redundant_credentials=(
            IngestCredential(participant_id="one", stream_key="rt_1"),
            IngestCredential(participant_id="two", stream_key="rt_2"),
        ),
    ),
    EncoderConfiguration(
        arn=PREFIX + "encoder-configuration/abcdABCDefgh",
        account_id=ACCOUNT,
        created_ms=NOON_MS,
        width=1_920,
        height=1_080,
        framerate=29.97,
        bitrate_bps=8_500_000,
    ),
    StorageConfiguration(
        arn=PREFIX + "storage-configuration/abcdABCDefgh",
        account_id=ACCOUNT,
        created_ms=NOON_MS,
        bucket_name="bucket",
    ),
]
TYPES = ("public-key", "ingest-configuration", "encoder-configuration", "storage-configuration")


@pytest.mark.parametrize(("resource", "resource_type"), list(zip(RESOURCES, TYPES, strict=True)), ids=TYPES)
async def test_a_resource_is_read_and_listed_as_it_was_put(book: Book, resource: Resource, resource_type: str) -> None:
    await commit(book, *(PutResource(resource=one) for one in RESOURCES))
    assert book.get_resource(resource.arn) == resource
    assert book.list_resources(ACCOUNT, resource_type, after=None, limit=9).items == [resource]
    assert book.count_resources(ACCOUNT, resource_type) == 1


async def test_putting_a_resource_again_replaces_it_in_place(book: Book) -> None:
    await commit(book, put_resource(), put_resource(KEY_ARN + "2"))
    renamed = msgspec.structs.replace(public_key(), name="renamed", tags={"a": "b"})
    await commit(book, put_resource(renamed))
    assert book.list_resources(ACCOUNT, "public-key", after=None, limit=9).items == [
        renamed,
        public_key(KEY_ARN + "2"),
    ]
    assert book.count_resources(ACCOUNT, "public-key") == 2


async def test_resources_are_listed_by_account_in_order_of_creation(book: Book) -> None:
    arns = [f"{KEY_ARN}{number}" for number in (3, 1, 4, 0, 2)]
    for arn in arns:
        await commit(book, put_resource(arn))
    await commit(book, put_resource(public_key(KEY_ARN + "x", account_id="999999999999")))
    seen: list[str] = []
    page = book.list_resources(ACCOUNT, "public-key", after=None, limit=2)
    while page.next_position is not None:
        assert len(page.items) == 2
        seen += [one.arn for one in page.items]
        page = book.list_resources(ACCOUNT, "public-key", after=page.next_position, limit=2)
    assert seen + [one.arn for one in page.items] == arns
    assert book.count_resources(ACCOUNT, "public-key") == 5
    assert book.count_resources("000000000000", "public-key") == 0


async def test_a_deleted_resource_stays_deleted_after_a_restart(books: Books) -> None:
    book = books.open()
    await commit(book, put_resource(), put_resource(KEY_ARN + "2"))
    await commit(book, DeleteResource(arn=KEY_ARN))
    await book.close()
    book = books.open(show_deleted_history=True)
    assert book.get_resource(KEY_ARN) is None
    assert book.list_resources(ACCOUNT, "public-key", after=None, limit=9).items == [public_key(KEY_ARN + "2")]
    assert book.count_resources(ACCOUNT, "public-key") == 1


async def test_deleting_an_unknown_resource_is_not_an_error(book: Book) -> None:
    await commit(book, put_resource(), DeleteResource(arn=KEY_ARN + "2"), DeleteResource(arn=""))
    await commit(book, DeleteResource(arn=KEY_ARN), DeleteResource(arn=KEY_ARN))
    assert book.get_resource(KEY_ARN) is None
    assert book.count_resources(ACCOUNT, "public-key") == 0


async def test_a_resource_can_be_put_deleted_and_put_again_in_one_transaction(book: Book) -> None:
    await commit(
        book,
        put_resource(),
        put_resource(KEY_ARN + "2"),
        DeleteResource(arn=KEY_ARN),
        put_resource(public_key(name="again")),
    )
    page = book.list_resources(ACCOUNT, "public-key", after=None, limit=9)
    assert page.items == [public_key(KEY_ARN + "2"), public_key(name="again")]


async def test_a_position_of_a_deleted_resource_does_not_skip_later_resources(books: Books) -> None:
    book = books.open()
    await commit(book, put_resource(KEY_ARN + "1"), put_resource(KEY_ARN + "2"), put_resource(KEY_ARN + "3"))
    position = book.list_resources(ACCOUNT, "public-key", after=None, limit=2).next_position
    await commit(book, DeleteResource(arn=KEY_ARN + "2"), DeleteResource(arn=KEY_ARN + "3"))
    await book.close()
    book = books.open()
    await commit(book, put_resource(KEY_ARN + "4"))
    page = book.list_resources(ACCOUNT, "public-key", after=position, limit=2)
    assert page.items == [public_key(KEY_ARN + "4")]


async def test_a_revoked_connection_token_stays_revoked_only_in_its_account(books: Books) -> None:
    book = books.open()
    revocation = RevokeConnectionToken(account_id=ACCOUNT, token_id="t" * 32, at_ms=NOON_MS)
    assert not book.is_connection_token_revoked(ACCOUNT, "t" * 32)
    await commit(book, revocation, revocation)
    await commit(book, revocation)
    await book.close()
    book = books.open()
    assert book.is_connection_token_revoked(ACCOUNT, "t" * 32)
    assert not book.is_connection_token_revoked(ACCOUNT, "u" * 32)
    assert not book.is_connection_token_revoked("999999999999", "t" * 32)


async def test_a_participant_that_needs_a_connection_token_is_found_by_its_stage(books: Books) -> None:
    book = books.open()
    for token_id in ("abc", "abcd/participant"):
        await commit(book, RevokeConnectionToken(account_id=ACCOUNT, token_id=token_id, at_ms=NOON_MS))
    assert [book.has_bound_participants(ACCOUNT, each) for each in ("abc", "abcd", "ab")] == [False, True, False]
    assert not book.has_bound_participants("999999999999", "abcd")
