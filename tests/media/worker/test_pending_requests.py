"""PendingRequests: replies reach their callers, and a lost process fails what is left."""

import asyncio

from stagebook.media.worker.pending_requests import MAX_IN_FLIGHT, MAX_IN_FLIGHT_PER_CONNECTION, PendingRequests
from stagebook.media.worker.worker_messages import Reply, Request


class LostError(Exception):
    """The error that the tests fail requests with."""


def make_request(pending: PendingRequests, connection_id: str = "c") -> Request:
    return Request(request_id=pending.next_id(), connection_id=connection_id)


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
    pending.abandon(request)
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


async def test_an_abandoned_request_stays_in_flight_until_its_reply_and_frees_its_place_once() -> None:
    pending = PendingRequests()
    requests = [make_request(pending, f"c{number}") for number in range(MAX_IN_FLIGHT)]
    for request in requests:
        assert not pending.is_full(request)
        pending.add(request)
        pending.abandon(request)
    further = make_request(pending, "further")
    assert pending.is_full(further)
    for _ in range(2):
        pending.resolve(Reply(request_id=requests[0].request_id))
    assert not pending.is_full(further)
    pending.add(further)
    assert pending.is_full(make_request(pending, "last"))
    assert pending.fail_all(LostError) == [further]
    assert not pending.is_full(requests[0])


async def test_the_requests_in_flight_for_one_connection_are_limited() -> None:
    pending = PendingRequests()
    requests = [make_request(pending) for _ in range(MAX_IN_FLIGHT_PER_CONNECTION)]
    for request in requests:
        pending.add(request)
    assert pending.is_full(make_request(pending))
    assert not pending.is_full(make_request(pending, "another"))
    pending.resolve(Reply(request_id=requests[0].request_id))
    assert not pending.is_full(make_request(pending))


def test_ids_are_unique() -> None:
    pending = PendingRequests()
    assert len({pending.next_id() for _ in range(5)}) == 5
