"""The internal server serves what a node has signed for it, and nothing else."""

import time

import msgspec
import pytest

from stagebook.api.asgi import Scope
from stagebook.cluster.forwarding.forwarding_seal import MAXIMUM_AGE_SECONDS, ForwardedFacts, ForwardingSeal
from tests.cluster.cluster_harness import ACCOUNT, OTHER_ACCOUNT, SECRET, SIGNED, Cluster, Recorder, never
from tests.server.http.http_harness import WEBSOCKET_HANDSHAKE, connection, exchange, read_response

SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "raw_path": b"/CreateStage",
    "query_string": b"",
    "scheme": "https",
    "client": ("203.0.113.9", 4_711),
    "headers": [(b"host", b"stages.example.com")],
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sealed(
    *, secret: str = SECRET, account_id: str = ACCOUNT, run_id: int = 2, age_seconds: float = 0.0, **changes: object
) -> bytes:
    """Return the header field that another node would send for SCOPE with these changes."""
    seal = ForwardingSeal(secret, now_ms=lambda: now_ms() - round(age_seconds * 1_000))
    scope: Scope = {**SCOPE, **changes}
    return seal.sign(scope, seal.facts(scope, account_id=account_id, run_id=run_id, node="first"))


async def ask(cluster: Cluster, *fields: bytes) -> tuple[int, bytes | None]:
    """Send SCOPE to the internal server; return the status and the mark of the link."""
    async with connection(cluster.second.internal_port) as (reader, writer):
        lines = b"".join(b"x-stagebook-forwarded: " + field + b"\r\n" for field in fields)
        writer.write(
            b"POST /CreateStage HTTP/1.1\r\nhost: stages.example.com\r\n" + lines + b"content-length: 0\r\n\r\n"
        )
        status, headers, _ = await read_response(reader)
        return status, headers.get(b"x-stagebook-link")


@pytest.fixture
def served() -> Recorder:
    return Recorder(lambda _scope, _body: (200, [(b"content-length", b"0")], b""))


async def test_a_signed_request_has_the_address_and_the_scheme_of_the_client(served: Recorder) -> None:
    async with Cluster(never, served).running() as cluster:
        assert await ask(cluster, sealed()) == (200, None)
    scope = served.scopes[0]
    assert (scope["client"], scope["scheme"]) == (("203.0.113.9", 4_711), "https")
    assert scope["headers"] == [(b"host", b"stages.example.com"), (b"content-length", b"0")]


async def test_anything_else_is_forbidden() -> None:
    valid = sealed()
    payload, _, mac = valid.partition(b".")
    forged = {
        "nothing": (),
        "two": (valid, valid),
        "empty": (b"",),
        "another secret": (sealed(secret=SECRET[::-1]),),
        "another payload": (sealed(account_id=OTHER_ACCOUNT).partition(b".")[0] + b"." + mac,),
        "no signature": (payload + b".",),
        "another method": (sealed(method="GET"),),
        "another target": (sealed(raw_path=b"/DeleteStage"),),
        "another query": (sealed(query_string=b"a"),),
        "another host": (sealed(headers=[(b"host", b"x")]),),
        "too old": (sealed(age_seconds=MAXIMUM_AGE_SECONDS + 1),),
        "of the future": (sealed(age_seconds=-MAXIMUM_AGE_SECONDS - 1),),
        "too long": (b"x" * 2_000,),
    }
    async with Cluster(never, never).running() as cluster:
        for what, fields in forged.items():
            assert await ask(cluster, *fields) == (403, b"refused"), what
        handshake = WEBSOCKET_HANDSHAKE.replace(b"/events/x", b"/CreateStage")
        response = await exchange(cluster.second.internal_port, handshake + b"\r\n")
        assert response.startswith(b"HTTP/1.1 403")


async def test_a_request_that_is_repeated_later_or_to_another_run_is_not_served(served: Recorder) -> None:
    async with Cluster(never, served).running() as cluster:
        recorded = sealed()
        assert await ask(cluster, recorded) == (200, None)
        cluster.second.skew_ms = round(MAXIMUM_AGE_SECONDS * 1_000) + 1
        assert await ask(cluster, recorded) == (403, b"refused")
        cluster.second.skew_ms = 0
        # The next run of the same node, which owns the account again.
        cluster.second.local.run_id = 3
        cluster.leases.owners[ACCOUNT] = cluster.second.owner
        assert await ask(cluster, recorded) == (421, b"not-owner")
    assert len(served.scopes) == 1


async def test_a_request_for_an_account_of_another_node_is_misdirected(served: Recorder) -> None:
    async with Cluster(never, served).running() as cluster:
        assert await ask(cluster, sealed(account_id=OTHER_ACCOUNT)) == (421, b"not-owner")
    assert served.scopes == []


async def test_a_request_makes_one_hop(served: Recorder) -> None:
    """The second node believes that the third one owns the account, and does not send the request on."""
    async with Cluster(never, served).running() as cluster:
        cluster.leases.owners[ACCOUNT] = cluster.first.owner
        cluster.second.cluster.note_owners_changed()
        assert await ask(cluster, sealed()) == (421, b"not-owner")
        assert cluster.second.cluster.counts.requests == 0


async def test_the_header_field_means_nothing_to_the_server_for_clients(served: Recorder) -> None:
    async with Cluster(served, never).running() as cluster:
        cluster.leases.owners[ACCOUNT] = cluster.first.owner
        async with connection(cluster.first.port) as (reader, writer):
            field = b"x-stagebook-forwarded: " + sealed(run_id=1) + b"\r\n"
            writer.write(b"POST /CreateStage HTTP/1.1\r\nhost: stages.example.com\r\n" + SIGNED + field + b"\r\n")
            assert (await read_response(reader))[0] == 200
            assert served.scopes[0]["client"] == writer.get_extra_info("sockname")


async def test_nodes_with_different_secrets_refuse_each_other_and_say_so() -> None:
    async with Cluster(never, never).running() as cluster, connection(cluster.first.port) as (reader, writer):
        cluster.second.skew_ms = 40_000  # as another secret, the clock makes every signature invalid
        writer.write(b"POST /CreateStage HTTP/1.1\r\nhost: h\r\n" + SIGNED + b"content-length: 0\r\n\r\n")
        status, _, body = await read_response(reader)
    assert status == 503
    assert b"refuse each other" in body


class NewerFacts(ForwardedFacts, frozen=True, kw_only=True):
    """What a node of the next version says: one member more."""

    added: int = 1


async def test_what_a_node_of_a_newer_version_adds_is_ignored(served: Recorder) -> None:
    seal = ForwardingSeal(SECRET, now_ms=now_ms)
    facts = NewerFacts(**msgspec.structs.asdict(seal.facts(SCOPE, account_id=ACCOUNT, run_id=2, node="first")))
    async with Cluster(never, served).running() as cluster:
        assert await ask(cluster, seal.sign(SCOPE, facts)) == (200, None)


async def test_a_node_that_stops_is_not_the_owner_any_more() -> None:
    async with Cluster(never, never).running() as cluster:
        await cluster.second.cluster.drain(timeout_seconds=1)
        assert await ask(cluster, sealed()) == (421, b"not-owner")
