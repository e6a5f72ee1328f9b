"""Resources whose changes are submitted and not durable yet."""

import asyncio
import itertools
from collections.abc import Callable
from typing import cast

import pytest

from stagebook.book.changes import DeleteResource, PutResource
from stagebook.book.store import BookReader
from stagebook.manager.session.pending_resources import PendingResources, ResourceChange
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


def change(resource: StorageConfiguration, *, is_known: bool = False) -> ResourceChange:
    return ResourceChange(resource.arn, resource, is_known)


class ResourceWriter:
    """Submits changes of resources to a book. They are durable when the returned future is awaited."""

    def __init__(self, harness: ManagerHarness) -> None:
        self.book = harness.book
        self.pending = PendingResources(book=harness.book)

    def submit(self, *changes: PutResource | DeleteResource) -> asyncio.Future[None]:
        resources = self.pending.prepare(changes)
        durable = self.book.submit(changes).durable
        self.pending.note(resources, durable)
        return durable


@pytest.fixture
def writer(harness: ManagerHarness) -> ResourceWriter:
    return ResourceWriter(harness)


async def test_a_put_resource_is_found_before_and_after_it_is_durable(writer: ResourceWriter) -> None:
    durable = writer.submit(PutResource(resource=storage(1)))
    assert writer.pending.find(storage(1).arn) == storage(1)
    await durable
    assert writer.pending.find(storage(1).arn) == storage(1)


async def test_the_latest_of_several_changes_counts(writer: ResourceWriter) -> None:
    first = writer.submit(PutResource(resource=storage(1, name="first")))
    second = writer.submit(PutResource(resource=storage(1, name="second")))
    assert writer.pending.find(storage(1).arn) == storage(1, name="second")
    await first
    assert writer.pending.find(storage(1).arn) == storage(1, name="second")
    await second
    assert writer.pending.find(storage(1).arn) == storage(1, name="second")


async def test_an_earlier_change_that_becomes_durable_leaves_the_later_one(writer: ResourceWriter) -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    writer.pending.note([change(storage(1, name="first"))], first)
    writer.pending.note([change(storage(1, name="second"), is_known=True)], second)
    first.set_result(None)
    await asyncio.sleep(0)  # the callbacks of the future run
    assert writer.pending.find(storage(1).arn) == storage(1, name="second")


async def test_a_resource_is_not_found_before_and_after_its_deletion_is_durable(writer: ResourceWriter) -> None:
    await writer.submit(PutResource(resource=storage(1)))
    durable = writer.submit(DeleteResource(arn=storage(1).arn))
    assert writer.pending.find(storage(1).arn) is None
    await durable
    assert writer.pending.find(storage(1).arn) is None


async def test_the_count_includes_pending_changes(writer: ResourceWriter) -> None:
    await writer.submit(PutResource(resource=storage(1)), PutResource(resource=storage(2)))
    encoder = EncoderConfiguration(
        arn=f"arn:aws:ivs:us-west-2:{ACCOUNT}:encoder-configuration/number1", account_id=ACCOUNT, created_ms=1
    )
    last = [
        writer.submit(PutResource(resource=storage(3))),
        writer.submit(PutResource(resource=storage(2, name="changed"))),
        writer.submit(DeleteResource(arn=storage(1).arn)),
        writer.submit(PutResource(resource=encoder)),
        writer.submit(PutResource(resource=storage(4, account_id="210987654321"))),
    ]
    assert writer.pending.count(ACCOUNT, TYPE) == 2
    await asyncio.gather(*last)
    assert writer.pending.count(ACCOUNT, TYPE) == 2


class CommittingBook:
    """A book whose writer commits one more step after a given number of reads. `steps` are the ARNs that exist."""

    def __init__(self, steps: list[set[str]], *, reads_before_each: list[int]) -> None:
        self._steps = steps
        self._changes_at = list(itertools.accumulate(reads_before_each))
        self._reads = 0

    def _existing(self) -> set[str]:
        step = sum(self._reads >= at for at in self._changes_at)
        self._reads += 1
        return self._steps[step]

    def get_resource(self, arn: str) -> StorageConfiguration | None:
        return storage(0) if arn in self._existing() else None

    def count_resources(self, account_id: str, resource_type: str) -> int:
        assert (account_id, resource_type) == (ACCOUNT, TYPE)
        return len(self._existing())


@pytest.mark.parametrize(("first", "second"), list(itertools.product(range(6), range(6))))
async def test_the_count_is_right_whenever_the_writer_commits(first: int, second: int) -> None:
    deleted, created = storage(1).arn, storage(2).arn
    steps = [{deleted}, {deleted, created}, {created}]
    book = CommittingBook(steps, reads_before_each=[first, second])
    pending = PendingResources(book=cast("BookReader", book))  # reads of resources are all that it uses
    loop = asyncio.get_running_loop()
    pending.note([change(storage(2))], loop.create_future())
    pending.note([ResourceChange(deleted, None, is_known=True)], loop.create_future())

    assert pending.count(ACCOUNT, TYPE) == 1


async def test_the_quota_includes_pending_changes(writer: ResourceWriter) -> None:
    writer.submit(PutResource(resource=storage(1)))
    writer.pending.require_quota(ACCOUNT, TYPE, maximum=2)
    await writer.submit(PutResource(resource=storage(2)))
    with pytest.raises(ServiceQuotaExceededError, match="storage configurations is at its quota of 2"):
        writer.pending.require_quota(ACCOUNT, TYPE, maximum=2)


async def test_a_transaction_that_failed_is_not_remembered(writer: ResourceWriter) -> None:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    writer.pending.note([change(storage(1))], failed)
    failed.set_exception(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        await failed
    await asyncio.sleep(0)  # the callbacks of the future run
    assert writer.pending.find(storage(1).arn) is None


async def test_a_burst_of_creations_reads_in_proportion_to_their_number(
    writer: ResourceWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def count(name: str) -> None:
        read: Callable[..., object] = getattr(writer.book, name)

        def counted(*arguments: str) -> object:
            reads.append(name)
            return read(*arguments)

        monkeypatch.setattr(writer.book, name, counted)

    count("get_resource")
    count("count_resources")
    durables = []
    for number in range(100):
        writer.pending.require_quota(ACCOUNT, TYPE, maximum=100)
        durables.append(writer.submit(PutResource(resource=storage(number))))
    with pytest.raises(ServiceQuotaExceededError):
        writer.pending.require_quota(ACCOUNT, TYPE, maximum=100)

    assert len(reads) <= 102  # whether each ARN exists, and the count of the account twice
    await asyncio.gather(*durables)
    assert writer.pending.count(ACCOUNT, TYPE) == writer.book.count_resources(ACCOUNT, TYPE) == 100


async def test_the_count_follows_changes_of_one_transaction(writer: ResourceWriter) -> None:
    await writer.submit(PutResource(resource=storage(1)))
    assert writer.pending.count(ACCOUNT, TYPE) == 1
    await writer.submit(
        DeleteResource(arn=storage(1).arn),
        PutResource(resource=storage(1)),
        PutResource(resource=storage(2)),
        DeleteResource(arn=storage(3).arn),
        PutResource(resource=storage(4)),
        DeleteResource(arn=storage(4).arn),
    )
    assert writer.pending.count(ACCOUNT, TYPE) == writer.book.count_resources(ACCOUNT, TYPE) == 2
