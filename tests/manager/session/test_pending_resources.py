"""Changing resources while earlier changes are still on their way into the book."""

import asyncio

import pytest

from stagebook.book.changes import DeleteResource, PutResource
from stagebook.manager.session.pending_resources import PendingResources
from stagebook.stage.errors import ServiceQuotaExceededError
from stagebook.stage.resources import EncoderConfiguration, StorageConfiguration
from tests.manager.manager_harness import ACCOUNT, ManagerHarness

TYPE = "storage-configuration"


def storage(number: int, *, name: str = "", account_id: str = ACCOUNT) -> StorageConfiguration:
    return StorageConfiguration(
        arn=f"arn:aws:ivs:us-west-2:{account_id}:storage-configuration/number{number}",
        account_id=account_id,
        created_ms=number,
        name=name,
        bucket_name="bucket",
    )


class Shop:
    """A book and a shelf of its own over it; what `submit` returns is not durable before it is awaited."""

    def __init__(self, harness: ManagerHarness) -> None:
        self.book = harness.book
        self.shelf = PendingResources(book=harness.book)

    def submit(self, *changes: PutResource | DeleteResource) -> asyncio.Future[None]:
        durable = self.book.submit(changes).durable
        self.shelf.note(changes, durable)
        return durable


@pytest.fixture
def shop(harness: ManagerHarness) -> Shop:
    return Shop(harness)


async def test_what_is_on_its_way_is_found_before_and_after_it_is_durable(shop: Shop) -> None:
    durable = shop.submit(PutResource(resource=storage(1)))
    assert shop.shelf.find(storage(1).arn) == storage(1)
    await durable
    assert shop.shelf.find(storage(1).arn) == storage(1)


async def test_the_latest_of_several_changes_counts(shop: Shop) -> None:
    first = shop.submit(PutResource(resource=storage(1, name="first")))
    second = shop.submit(PutResource(resource=storage(1, name="second")))
    assert shop.shelf.find(storage(1).arn) == storage(1, name="second")
    await first
    assert shop.shelf.find(storage(1).arn) == storage(1, name="second")
    await second
    assert shop.shelf.find(storage(1).arn) == storage(1, name="second")


async def test_an_earlier_change_that_is_done_leaves_the_later_one(shop: Shop) -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    shop.shelf.note([PutResource(resource=storage(1, name="first"))], first)
    shop.shelf.note([PutResource(resource=storage(1, name="second"))], second)
    first.set_result(None)
    await asyncio.sleep(0)  # what is called when it is done has its turn
    assert shop.shelf.find(storage(1).arn) == storage(1, name="second")


async def test_what_is_being_deleted_is_gone(shop: Shop) -> None:
    await shop.submit(PutResource(resource=storage(1)))
    durable = shop.submit(DeleteResource(arn=storage(1).arn))
    assert shop.shelf.find(storage(1).arn) is None
    await durable
    assert shop.shelf.find(storage(1).arn) is None


async def test_the_count_has_what_comes_and_not_what_goes(shop: Shop) -> None:
    await shop.submit(PutResource(resource=storage(1)), PutResource(resource=storage(2)))
    encoder = EncoderConfiguration(
        arn=f"arn:aws:ivs:us-west-2:{ACCOUNT}:encoder-configuration/number1", account_id=ACCOUNT, created_ms=1
    )
    last = [
        shop.submit(PutResource(resource=storage(3))),
        shop.submit(PutResource(resource=storage(2, name="changed"))),
        shop.submit(DeleteResource(arn=storage(1).arn)),
        shop.submit(PutResource(resource=encoder)),
        shop.submit(PutResource(resource=storage(4, account_id="210987654321"))),
    ]
    assert shop.shelf.count(ACCOUNT, TYPE) == 2
    await asyncio.gather(*last)
    assert shop.shelf.count(ACCOUNT, TYPE) == 2


async def test_there_is_room_up_to_the_quota(shop: Shop) -> None:
    shop.submit(PutResource(resource=storage(1)))
    shop.shelf.require_quota(ACCOUNT, TYPE, maximum=2)
    await shop.submit(PutResource(resource=storage(2)))
    with pytest.raises(ServiceQuotaExceededError, match="storage configurations is at its quota of 2"):
        shop.shelf.require_quota(ACCOUNT, TYPE, maximum=2)


async def test_a_transaction_that_failed_is_not_remembered(shop: Shop) -> None:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    shop.shelf.note([PutResource(resource=storage(1))], failed)
    failed.set_exception(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        await failed
    await asyncio.sleep(0)  # what is called when it is done has its turn
    assert shop.shelf.find(storage(1).arn) is None
