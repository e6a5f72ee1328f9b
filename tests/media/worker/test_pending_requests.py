"""PendingRequests: replies reach their callers, and a lost process fails what is left."""

import asyncio

from stagebook.media.worker.pending_requests import PendingRequests
from stagebook.media.worker.worker_messages import Reply, Request


class LostError(Exception):
    """The error that the tests fail requests with."""


def make_request(pending: PendingRequests) -> Request:
    return Request(request_id=pending.next_id(), connection_id="c")


async def test_a_reply_resolves_its_own_request() -> None:
    pending = PendingRequests()
    first, second = make_request(pending), make_request(pending)
    first_reply, second_reply = pending.add(first), pending.add(second)
    pending.resolve(Reply(request_id=second.request_id))
    assert await second_reply == Reply(request_id=second.request_id)
    assert not first_reply.done()


async def test_a_reply_without_a_pending_request_is_ignored() -> None:
    pending = PendingRequests()
    request = make_request(pending)
    future = pending.add(request)
    pending.discard(request)
    pending.resolve(Reply(request_id=request.request_id))
    pending.resolve(Reply(request_id=99))
    assert not future.done()


async def test_a_cancelled_caller_is_no_error() -> None:
    pending = PendingRequests()
    resolved, failed = make_request(pending), make_request(pending)
    for request in (resolved, failed):
        pending.add(request).cancel()
    pending.resolve(Reply(request_id=resolved.request_id))
    assert pending.fail_all(LostError) == [failed]


async def test_failing_all_returns_the_requests_and_raises_in_each_caller() -> None:
    pending = PendingRequests()
    requests = [make_request(pending) for _ in range(2)]
    futures = [pending.add(request) for request in requests]
    assert pending.fail_all(LostError) == requests
    errors = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(error) for error in errors] == [LostError, LostError]
    assert errors[0] is not errors[1]
    assert pending.fail_all(LostError) == []


def test_ids_are_unique() -> None:
    pending = PendingRequests()
    assert len({pending.next_id() for _ in range(5)}) == 5
